"""Says a notification aloud, or shows it on the desktop, with what the machine has."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from utils import speech
from utils.speech import SERVICES, SpeechError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TYPES = ("permission_prompt", "idle_prompt")
DIRECTORIES = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin")
LOCAL = ("spd-say", "espeak-ng", "say", "notify-send")
PYTTSX3 = "pyttsx3"
ENGINES = (*LOCAL, PYTTSX3, *SERVICES)
PLAYERS = (
    ("paplay",),
    ("aplay", "-q"),
    ("mpv", "--really-quiet", "--no-video"),
    ("ffplay", "-nodisp", "-autoexit"),
)
SILENT = ("", "off")
LONGEST = 200  # characters that are said
PATIENCE = 20.0  # seconds for the voice before us; what is older than that need not be said any more
SPEECH = 30.0  # seconds after which a voice is cut off
SENTENCES = {
    "permission_prompt": "Claude Code asks for your permission.",
    "idle_prompt": "Claude Code waits for you.",
    "elicitation_dialog": "Claude Code has a question.",
    "auth_success": "Claude Code is signed in.",
}
"""What a service is given to say. A notification's own words may hold what people and models wrote."""
OTHERWISE = "Claude Code has a message."
SPEAK = """
import sys, pyttsx3
text, language, voice, file = sys.stdin.read(), *sys.argv[1:]
engine = pyttsx3.init()
engine.setProperty("voice", voice or language)
engine.save_to_file(text, file) if file else engine.say(text)
engine.runAndWait()
"""


class Wish(NamedTuple):
    """How notifications are to be announced.

    engine: one of `ENGINES`, ``auto`` for the first local one that is there, or ``off``. language, voice:
    the engine's. types: notification types that are announced. quiet_hours: ``HH:MM-HH:MM``, over midnight
    too, or empty. sentences: by type, what is said instead of the notification's own words. key_file,
    endpoint, model: for `SERVICES`, which get a sentence and never a notification's own words.
    directories: where engines and players are looked for. file: a WAV file instead of the loudspeaker.
    """

    engine: str = "off"
    language: str = "en"
    voice: str = ""
    types: Sequence[str] = TYPES
    quiet_hours: str = ""
    sentences: Mapping[str, str] = {}
    key_file: str = ""
    endpoint: str = ""
    model: str = ""
    directories: Sequence[str] = DIRECTORIES
    file: str = ""


def wish(notification: Mapping[str, object]) -> Wish:
    """Return the wish that the configuration's ``notification`` states; raises `ValueError`."""
    unknown = sorted(set(notification) - set(Wish._fields))
    if unknown:
        message = f"notification: unknown key {unknown[0]!r}; known are {', '.join(Wish._fields)}"
        raise ValueError(message)
    found = Wish()._replace(**notification)  # type: ignore[arg-type] # by name, and compared with the keys above
    if found.engine not in (*SILENT, "auto", *ENGINES):
        message = f"notification: engine must be off, auto or one of {', '.join(ENGINES)}"
        raise ValueError(message)
    if found.engine in SERVICES and not found.key_file:
        message = f"notification: engine {found.engine} needs key_file, the file of its key"
        raise ValueError(message)
    is_quiet(found.quiet_hours, minute=0)
    return found


def is_quiet(hours: str, *, minute: int) -> bool:
    """Say whether the `minute` of the day lies in `hours`; raises `ValueError` for hours that are none."""
    if not hours:
        return False
    try:
        begin, end = (int(part[:2]) * 60 + int(part[3:]) for part in hours.split("-") if part[2] == ":")
    except (ValueError, IndexError):
        message = f"notification: quiet_hours must be like 22:00-07:00, not {hours!r}"
        raise ValueError(message) from None
    return begin <= minute < end if begin <= end else minute >= begin or minute < end


def has_sound(environ: Mapping[str, str], *, devices: Path = Path("/dev/snd")) -> bool:
    """Say whether anything here could make a sound: a playback device, or a sound server's socket."""
    if sys.platform == "darwin" or environ.get("PULSE_SERVER"):
        return True
    runtime = Path(environ.get("XDG_RUNTIME_DIR", "/nonexistent"))
    sockets = (runtime / "pulse/native", runtime / "pipewire-0")
    return any(devices.glob("pcm*p")) or any(socket.exists() for socket in sockets)


def command(wanted: Wish, *, audible: bool = True) -> tuple[str, list[str]]:
    """Return the engine's name and its command line; the text comes on standard input or as the last word.

    audible: whether a sound could be heard; without, only what is shown will do. Returns an empty name when
    the machine has no engine, or it is none that is started by a command.
    """
    if wanted.engine == PYTTSX3 and audible:
        # Not this interpreter, which sees no installed packages; -I keeps the project's directory out, too.
        arguments = [wanted.language, wanted.voice, wanted.file]
        return PYTTSX3, [sys.executable, "-I", "-c", SPEAK, *arguments]
    for name in LOCAL if wanted.engine == "auto" else (wanted.engine,):
        if name in LOCAL and (audible or name == "notify-send"):
            program = _program(name, wanted)
            if program:
                return name, [program, *_options(name, wanted)]
    return "", []


def _program(name: str, wanted: Wish) -> str:
    paths = (f"{directory}/{name}" for directory in wanted.directories)
    return next((path for path in paths if os.access(path, os.X_OK)), "")


def _options(name: str, wanted: Wish) -> list[str]:
    if name == "spd-say":
        return [
            "--wait",
            "--language",
            wanted.language,
            *(["--synthesis-voice", wanted.voice] if wanted.voice else []),
        ]
    if name == "espeak-ng":
        return [
            "-v",
            wanted.voice or wanted.language,
            "--stdin",
            *(["-w", wanted.file] if wanted.file else []),
        ]
    if name == "say":
        return ["-v", wanted.voice] if wanted.voice else []
    return ["--app-name=Claude Code", "--", "Claude Code"]


def announce(notification: Mapping[str, object], hook_input: Mapping[str, object], *, state_dir: str) -> bool:
    """Announce the notification in `hook_input` and return whether it was; one voice at a time for each user.

    Why it was not, if that is a fault, stands in ``voice.error`` in `state_dir` until one is announced.
    """
    try:
        announced = _announce(wish(notification), hook_input, state_dir=state_dir)
    except (ValueError, OSError, SpeechError, subprocess.SubprocessError) as error:
        _note(state_dir, str(error))
        return False
    if announced:
        _note(state_dir, "")
    return announced


def _announce(wanted: Wish, hook_input: Mapping[str, object], *, state_dir: str) -> bool:
    kind = hook_input.get("notification_type")
    if kind not in wanted.types or not isinstance(hook_input.get("message"), str):
        return False
    now = time.localtime()
    if is_quiet(wanted.quiet_hours, minute=now.tm_hour * 60 + now.tm_min):
        return False
    audible = bool(wanted.file) or has_sound(os.environ)
    by_service = wanted.engine in SERVICES
    name, argv = ("", []) if by_service else command(wanted, audible=audible)
    if not (by_service and audible) and not name:
        return False
    with _turn(state_dir) as turn:
        if turn is None:
            return False
        if by_service:
            sound = _spoken(wanted, wanted.sentences.get(str(kind)) or SENTENCES.get(str(kind), OTHERWISE))
            _play(sound, wanted, path=wanted.file or f"{state_dir}/voice.wav")
            return True
        text = wanted.sentences.get(str(kind)) or str(hook_input["message"])
        text = " ".join(text.split())[:LONGEST].lstrip("-")
        by_stdin = name in ("espeak-ng", PYTTSX3)
        _run(argv if by_stdin else [*argv, text], text if by_stdin else None)
    return True


def _spoken(wanted: Wish, sentence: str) -> bytes:
    """Return the sentence as a WAV file, spoken by the service."""
    key = speech.read_key(wanted.key_file)
    asked = speech.request(
        wanted.engine, sentence, key=key, endpoint=wanted.endpoint, model=wanted.model, voice=wanted.voice
    )
    return speech.fetch(asked, rate=SERVICES[wanted.engine].rate)


def _play(sound: bytes, wanted: Wish, *, path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(sound)
    if wanted.file:
        return
    try:
        for name, *options in PLAYERS:
            program = _program(name, wanted)
            if program:
                _run([program, *options, path], None)
                return
        message = f"none of {', '.join(name for name, *_ in PLAYERS)} is there to play the sound"
        raise SpeechError(message)
    finally:
        os.unlink(path)


def _run(argv: list[str], text: str | None) -> None:
    done = subprocess.run(
        argv,
        input=text,
        text=True,
        timeout=SPEECH,
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        message = f"{os.path.basename(argv[0])} ended with {done.returncode}: {last[:200]}"
        raise SpeechError(message)


def _note(state_dir: str, fault: str) -> None:
    """Keep the latest fault where /telemetry finds it, or forget it."""
    path = f"{state_dir}/voice.error"
    try:
        if not fault:
            os.unlink(path)
            return
        os.makedirs(state_dir, mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(fault + "\n")
    except OSError:
        pass  # nobody to tell


class _turn:  # noqa: N801 # used as a statement
    """Waits until no other voice of this user speaks; gives None when that takes too long."""

    def __init__(self, state_dir: str) -> None:
        os.makedirs(state_dir, mode=0o700, exist_ok=True)
        self._descriptor = os.open(
            f"{state_dir}/voice.lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )

    def __enter__(self) -> int | None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return None
                time.sleep(0.05)
            else:
                return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
