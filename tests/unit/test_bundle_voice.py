"""Notifications that are said aloud."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from utils import voice
from utils.voice import announce, command, has_sound, is_quiet, wish

BUNDLE = Path(__file__).parents[2] / "files/claude"
ASKS = {"notification_type": "permission_prompt", "message": "Claude needs your  permission\nto use Bash"}


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    """Make a directory with one engine, which notes what it says, when it begins and when it is done."""
    directory = tmp_path / "engines"
    directory.mkdir()
    engine = directory / "espeak-ng"
    engine.write_text(
        f"#!{sys.executable} -S\n"
        "import os, sys, time\n"
        "text = sys.stdin.read()\n"
        f"log = os.open({str(tmp_path / 'said')!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
        "os.write(log, f'begin {text}\\n'.encode())\n"
        "time.sleep(0.05)\n"
        "os.write(log, f'end {sys.argv[1:]}\\n'.encode())\n"
    )
    engine.chmod(0o755)
    return directory


def config(engines: Path, **more: object) -> dict[str, object]:
    return {"engine": "auto", "directories": [str(engines)], "file": "out.wav", **more}


def test_a_notification_is_said_in_its_own_words_and_language(tmp_path: Path, engines: Path) -> None:
    assert announce(config(engines, language="de"), ASKS, state_dir=str(tmp_path / "state"))
    assert (tmp_path / "said").read_text().splitlines() == [
        "begin Claude needs your permission to use Bash",
        "end ['-v', 'de', '--stdin', '-w', 'out.wav']",
    ]


@pytest.mark.parametrize(
    ("more", "hook_input"),
    [
        ({"types": ["idle_prompt"]}, ASKS),
        ({"quiet_hours": "00:00-24:00"}, ASKS),
        ({"engine": "spd-say"}, ASKS),
        ({}, {"notification_type": "permission_prompt"}),
        ({}, {"message": "no type"}),
    ],
)
def test_what_is_not_wanted_is_not_said(
    tmp_path: Path, engines: Path, more: dict[str, object], hook_input: dict[str, object]
) -> None:
    assert not announce(config(engines, **more), hook_input, state_dir=str(tmp_path / "state"))
    assert not (tmp_path / "said").exists()


def test_without_a_sound_device_there_is_silence(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert not has_sound({}, devices=tmp_path / "none")
    (tmp_path / "snd").mkdir()
    (tmp_path / "snd/pcmC0D0c").touch()
    assert not has_sound({}, devices=tmp_path / "snd")
    (tmp_path / "snd/pcmC0D0p").touch()
    assert has_sound({}, devices=tmp_path / "snd")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/pipewire-0").touch()
    assert has_sound({"XDG_RUNTIME_DIR": str(tmp_path / "run")}, devices=tmp_path / "none")


def test_a_text_cannot_become_an_option_of_the_engine(tmp_path: Path, engines: Path) -> None:
    (engines / "notify-send").write_text(f'#!/bin/sh\nprintf "%s|" "$@" > {tmp_path}/shown\n')
    (engines / "notify-send").chmod(0o755)
    asks = {**ASKS, "message": "--help " + "x" * 500}
    assert announce(config(engines, engine="notify-send"), asks, state_dir=str(tmp_path / "state"))
    shown = (tmp_path / "shown").read_text()
    assert shown == f"--app-name=Claude Code|--|Claude Code|help {'x' * 193}|"


@pytest.mark.parametrize(
    ("hours", "minute", "quiet"),
    [
        ("", 0, False),
        ("22:00-07:00", 23 * 60, True),
        ("22:00-07:00", 6 * 60 + 59, True),
        ("22:00-07:00", 7 * 60, False),
        ("12:30-13:00", 12 * 60 + 30, True),
        ("12:30-13:00", 13 * 60, False),
    ],
)
def test_quiet_hours_may_go_over_midnight(hours: str, minute: int, *, quiet: bool) -> None:
    assert is_quiet(hours, minute=minute) is quiet


@pytest.mark.parametrize(
    ("notification", "reason"),
    [
        ({"engin": "auto"}, "unknown key 'engin'"),
        ({"engine": "curl"}, "engine must be off, auto or one of"),
        ({"quiet_hours": "at night"}, "quiet_hours must be like 22:00-07:00"),
    ],
)
def test_a_wish_that_is_none_is_refused_in_one_sentence(notification: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        wish(notification)


def test_engines_are_taken_from_the_systems_directories_alone(
    engines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(engines))
    assert command(wish({"engine": "espeak-ng", "directories": ["/nonexistent"]})) == ("", [])


def test_the_hook_does_not_wait_and_two_voices_never_speak_at_once(tmp_path: Path, engines: Path) -> None:
    shutil.copytree(BUNDLE, tmp_path / "shop/.claude")
    (tmp_path / "shop/.claude/hooks/config.json").write_text(json.dumps({"notification": config(engines)}))
    hook_input = {"hook_event_name": "Notification", "session_id": "s1", **ASKS}
    for _ in range(4):
        result = subprocess.run(
            ["python3", "-S", str(tmp_path / "shop/.claude/hooks/notification.py")],
            input=json.dumps(hook_input).encode(),
            env={"PATH": os.environ["PATH"], "XDG_STATE_HOME": str(tmp_path / "state")},
            capture_output=True,
            check=True,
        )
        assert (result.stdout, result.stderr) == (b"", b"")
    deadline = time.monotonic() + 20
    while not (tmp_path / "said").exists() or (tmp_path / "said").read_text().count("end") < 4:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    words = [line.split()[0] for line in (tmp_path / "said").read_text().splitlines()]
    assert words == ["begin", "end"] * 4
    (journal,) = (tmp_path / "state/claude-code-observability").glob("*.jsonl")
    assert journal.read_text().count('"Notification"') == 4


STAND_IN = """
import sys, types
class Engine:
    def __init__(self): self.did = []
    def setProperty(self, *what): self.did.append(what)
    def save_to_file(self, *what): self.did.append(what)
    def runAndWait(self): open({log!r}, "w").write(repr(self.did))
sys.modules["pyttsx3"] = types.SimpleNamespace(init=Engine)
"""


def test_pyttsx3_speaks_in_an_interpreter_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    monkeypatch.setattr(voice, "SPEAK", STAND_IN.format(log=str(log)) + voice.SPEAK)
    said = {"engine": "pyttsx3", "language": "de", "file": "out.wav"}
    assert announce(said, ASKS, state_dir=str(tmp_path / "state"))
    assert log.read_text() == repr([("voice", "de"), ("Claude needs your permission to use Bash", "out.wav")])


def test_an_engine_that_fails_says_why_where_the_commands_find_it(tmp_path: Path, engines: Path) -> None:
    (engines / "espeak-ng").write_text("#!/bin/sh\necho 'no such voice' >&2\nexit 3\n")
    assert not announce(config(engines), ASKS, state_dir=str(tmp_path / "state"))
    assert (tmp_path / "state/voice.error").read_text() == "espeak-ng ended with 3: no such voice\n"
    assert not announce({"engine": "pyttsx3", "file": "x"}, ASKS, state_dir=str(tmp_path / "state"))
    assert "No module named 'pyttsx3'" in (tmp_path / "state/voice.error").read_text()


def test_without_sound_auto_shows_what_it_cannot_say(
    tmp_path: Path, engines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice, "has_sound", lambda _: False)
    (engines / "notify-send").write_text(f"#!/bin/sh\ntouch {tmp_path}/shown\n")
    (engines / "notify-send").chmod(0o755)
    assert announce(config(engines, file=""), ASKS, state_dir=str(tmp_path / "state"))
    assert (tmp_path / "shown").exists()
    assert not (tmp_path / "said").exists()
