"""Notifications spoken by a service on the network; a stand-in on loopback takes its place."""

import io
import json
import stat
import wave
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from utils.speech import SpeechError, read_key, request
from utils.voice import announce, wish

from tests.support.serving import serving

SAMPLES = b"\x00\x10\x00\xf0" * 2000
ASKS = {
    "notification_type": "permission_prompt",
    "message": "Claude wants to run CANARY-1",
    "cwd": "/CANARY-2",
}


class Service(BaseHTTPRequestHandler):
    """A stand-in for both services: keeps what it was asked, answers with sound or as it was told."""

    asked: list[dict[str, Any]]
    answer: tuple[int, bytes]

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = json.loads(self.rfile.read(length))
        self.asked.append({"path": self.path, "headers": dict(self.headers), "body": body})
        status, sound = self.answer
        self.send_response(status)
        if status == 302:
            self.send_header("Location", f"http://localhost:{self.server.server_port}/elsewhere")  # type: ignore[attr-defined]
        self.end_headers()
        self.wfile.write(sound)

    def do_GET(self) -> None:
        self.asked.append({"path": self.path, "headers": dict(self.headers), "body": None})
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the library's name
        """Stay silent."""


@pytest.fixture
def service() -> Iterator[str]:
    Service.asked, Service.answer = [], (200, SAMPLES)
    with serving(Service) as address:
        yield address


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "speech.key"
    path.write_text("sk-CANARY-3\n")
    path.chmod(0o640)
    return str(path)


def fault(tmp_path: Path) -> str:
    path = tmp_path / "state/voice.error"
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize(
    ("engine", "voice", "path", "header", "body"),
    [
        (
            "elevenlabs",
            "21m0/x",
            "/v1/text-to-speech/21m0%2Fx?output_format=pcm_22050",
            ("Xi-Api-Key", "sk-CANARY-3"),
            {"text": "Claude Code asks for your permission.", "model_id": "eleven_multilingual_v2"},
        ),
        (
            "openai",
            "",
            "/v1/audio/speech",
            ("Authorization", "Bearer sk-CANARY-3"),
            {
                "model": "gpt-4o-mini-tts",
                "voice": "alloy",
                "input": "Claude Code asks for your permission.",
                "response_format": "pcm",
            },
        ),
    ],
)
def test_a_service_gets_a_fixed_sentence_and_the_key_and_nothing_anybody_wrote(
    tmp_path: Path,
    service: str,
    key: str,
    engine: str,
    voice: str,
    path: str,
    header: tuple[str, str],
    body: object,
) -> None:
    said = {
        "engine": engine,
        "voice": voice,
        "key_file": key,
        "endpoint": service,
        "file": str(tmp_path / "out.wav"),
    }
    assert announce(said, ASKS, state_dir=str(tmp_path / "state"))
    (asked,) = Service.asked
    assert (asked["path"], asked["body"]) == (path, body)
    assert asked["headers"][header[0]] == header[1]
    assert "CANARY-1" not in str(asked)
    assert "CANARY-2" not in str(asked)
    with wave.open(str(tmp_path / "out.wav")) as sound:
        assert sound.readframes(9999) == SAMPLES
        assert sound.getframerate() == {"elevenlabs": 22_050, "openai": 24_000}[engine]
    assert stat.S_IMODE((tmp_path / "out.wav").stat().st_mode) == 0o600


def test_ones_own_sentence_and_model_are_sent_instead(tmp_path: Path, service: str, key: str) -> None:
    said = {
        "engine": "openai",
        "key_file": key,
        "endpoint": service,
        "file": str(tmp_path / "out.wav"),
        "model": "m",
    }
    announce(
        {**said, "sentences": {"permission_prompt": "Darf ich?"}}, ASKS, state_dir=str(tmp_path / "state")
    )
    assert (Service.asked[0]["body"]["input"], Service.asked[0]["body"]["model"]) == ("Darf ich?", "m")


def test_the_sound_is_played_by_what_the_machine_has_and_then_removed(
    tmp_path: Path, service: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSE_SERVER", "stand-in")
    player = tmp_path / "bin/aplay"
    player.parent.mkdir()
    player.write_text(f'#!/bin/sh\ncp "$2" {tmp_path}/played.wav\n(echo "$@"; env) >{tmp_path}/arguments\n')
    player.chmod(0o755)
    said = {"engine": "openai", "key_file": key, "endpoint": service, "directories": [str(player.parent)]}
    assert announce(said, ASKS, state_dir=str(tmp_path / "state"))
    with wave.open(io.BytesIO((tmp_path / "played.wav").read_bytes())) as sound:
        assert sound.readframes(9999) == SAMPLES
    assert "CANARY" not in (tmp_path / "arguments").read_text()
    assert not (tmp_path / "state/voice.wav").exists()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((401, b'{"detail": "sk-CANARY-3"}'), "answered 401: the key is not accepted"),
        ((429, b""), "answered 429: the quota is used up"),
        ((500, b""), "answered 500"),
        ((302, b""), "answered 302"),
        ((200, b""), "answered with 0 bytes, which are no sound"),
        ((200, b"odd"), "answered with 3 bytes, which are no sound"),
    ],
)
def test_an_answer_that_is_no_speech_is_one_sentence_without_the_key(
    tmp_path: Path, service: str, key: str, answer: tuple[int, bytes], sentence: str
) -> None:
    Service.answer = answer
    said = {"engine": "openai", "key_file": key, "endpoint": service, "file": str(tmp_path / "out.wav")}
    assert not announce(said, ASKS, state_dir=str(tmp_path / "state"))
    assert fault(tmp_path) == f"{service.removeprefix('http://')} {sentence}\n"
    assert [asked["path"] for asked in Service.asked] == ["/v1/audio/speech"]  # the key went nowhere else
    Service.answer = (200, SAMPLES)
    assert announce(said, ASKS, state_dir=str(tmp_path / "state"))
    assert fault(tmp_path) == ""


def test_a_service_that_is_not_there_is_named(tmp_path: Path, key: str) -> None:
    said = {"engine": "openai", "key_file": key, "endpoint": "http://127.0.0.1:1", "file": "out.wav"}
    assert not announce(said, ASKS, state_dir=str(tmp_path / "state"))
    assert fault(tmp_path).startswith("127.0.0.1:1 does not answer: ")


def test_nothing_is_asked_where_nobody_could_hear_it(
    tmp_path: Path, service: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utils.voice.has_sound", lambda _: False)
    assert not announce(
        {"engine": "openai", "key_file": key, "endpoint": service}, ASKS, state_dir=str(tmp_path)
    )
    assert Service.asked == []


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (
            {"endpoint": "http://speech.example.com"},
            "the endpoint http://speech.example.com is no https address",
        ),
        ({"endpoint": "file:///etc/passwd"}, "is no https address"),
        ({"engine": "elevenlabs", "voice": ""}, "elevenlabs needs a voice"),
    ],
)
def test_a_request_that_must_not_be_made_is_none(more: dict[str, str], sentence: str) -> None:
    said = {"engine": "openai", "voice": "x", **more}
    with pytest.raises(SpeechError, match=sentence):
        request(said.pop("engine"), "text", key="k", **said)


@pytest.mark.parametrize(
    ("text", "mode", "sentence"),
    [
        ("sk-x", 0o644, "everybody can read"),
        ("", 0o600, "holds no key"),
        ("two words", 0o600, "holds no key"),
        ("ключ", 0o600, "cannot be read: it is no ASCII"),
    ],
)
def test_a_key_that_cannot_be_used_is_said_without_the_key(
    tmp_path: Path, text: str, mode: int, sentence: str
) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(SpeechError, match=sentence):
        read_key(str(path))
    with pytest.raises(SpeechError, match="No such file"):
        read_key(str(tmp_path / "none"))


def test_a_service_without_a_key_is_refused() -> None:
    with pytest.raises(ValueError, match="engine openai needs key_file"):
        wish({"engine": "openai"})


def test_a_users_own_key_is_found_in_their_home(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_key(f"~/{Path(key).name}") == "sk-CANARY-3"
