"""The bundle's notifications, spoken by the real espeak-ng into files whose sound is looked at."""

from __future__ import annotations

import base64
import cmath
import io
import json
import math
import wave
from typing import TYPE_CHECKING

import pytest

from tests.support.machine import eventually
from tests.support.plays import ROOT, container

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.machine import Machine

BUNDLE = "/usr/local/share/bundle"
INSTALL = "apt-get -q update && apt-get -q install --yes --no-install-recommends espeak-ng"
# The real engine, with a note of when it begins and ends.
NOTED = """#!/bin/sh
echo begin >>/tmp/voices
/usr/bin/espeak-ng "$@"
echo end >>/tmp/voices
"""
FRAME = 1024


@pytest.fixture(scope="module")
def host() -> Iterator[Machine]:
    mounts = {str(ROOT / "files/claude"): BUNDLE}
    with container("ccpo-debian12-systemd", systemd=False, mounts=mounts) as machine:
        machine.run("sh", "-c", INSTALL, seconds=240)
        machine.write("/opt/noted/espeak-ng", NOTED)
        machine.run("chmod", "0755", "/opt/noted/espeak-ng")
        machine.run("install", "-d", "/tmp/journal")
        yield machine


def notify(host: Machine, message: str, **notification: object) -> None:
    """Let the hook hear of a notification; it returns before anything was said."""
    config = {"journal_dir": "/tmp/journal", "notification": {"engine": "espeak-ng", **notification}}
    host.write("/tmp/hooks.json", json.dumps(config))
    said = {"hook_event_name": "Notification", "session_id": "s1", "notification_type": "idle_prompt"}
    hook = ["/usr/bin/python3", "-I", "-S", f"{BUNDLE}/hooks/notification.py", "--config", "/tmp/hooks.json"]
    assert host.run(*hook, stdin=json.dumps({**said, "message": message})) == ""


def sound(host: Machine, path: str) -> tuple[list[int], int]:
    """Return the samples and the rate of a WAV file, once it is whole."""
    size = eventually(
        lambda: host.run(
            "sh", "-c", f"test -s {path} && ! pidof espeak-ng >/dev/null && stat -c %s {path} || true"
        ),
        accept=lambda seen: seen.strip().isdigit(),
        seconds=30,
    )
    assert size.strip().isdigit(), f"{path} was not written"
    data = base64.b64decode(host.run("base64", path))
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        raw = file.readframes(file.getnframes())
        return [
            int.from_bytes(raw[i : i + 2], "little", signed=True) for i in range(0, len(raw), 2)
        ], file.getframerate()


def spectrum(frame: list[complex]) -> list[complex]:
    """Return the discrete Fourier transform of a frame of 2^n samples."""
    if len(frame) == 1:
        return frame
    even, odd = spectrum(frame[::2]), spectrum(frame[1::2])
    turned = [cmath.exp(-2j * math.pi * k / len(frame)) * value for k, value in enumerate(odd)]
    return [a + b for a, b in zip(even, turned, strict=True)] + [
        a - b for a, b in zip(even, turned, strict=True)
    ]


def energies(samples: list[int]) -> list[float]:
    """Return the mean energy of each frame."""
    frames = [samples[i : i + FRAME] for i in range(0, len(samples) - FRAME, FRAME)]
    return [sum(value * value for value in frame) / FRAME for frame in frames]


def test_what_is_said_has_the_length_the_rhythm_and_the_pitches_of_speech(host: Machine) -> None:
    notify(host, "Claude needs your permission to use Bash", file="/tmp/said.wav")
    samples, rate = sound(host, "/tmp/said.wav")
    assert 1.5 < len(samples) / rate < 6
    loud = energies(samples)
    assert max(loud) > 1_000**2  # it is heard
    assert min(loud) < max(loud) / 1_000  # and pauses
    strongest = loud.index(max(loud)) * FRAME
    power = [
        abs(value) ** 2 for value in spectrum([complex(v) for v in samples[strongest : strongest + FRAME]])
    ]
    voice = power[round(80 * FRAME / rate) : round(4_000 * FRAME / rate)]
    assert sum(voice) > 0.9 * sum(power[1 : FRAME // 2])


def test_a_longer_text_takes_longer_and_another_language_sounds_different(host: Machine) -> None:
    notify(host, "Claude waits", file="/tmp/short.wav")
    short, rate = sound(host, "/tmp/short.wav")
    notify(host, "Claude waits for you since a long time and would like to go on", file="/tmp/long.wav")
    long, _ = sound(host, "/tmp/long.wav")
    notify(host, "Claude waits", file="/tmp/german.wav", language="de")
    german, _ = sound(host, "/tmp/german.wav")
    assert len(long) > len(short) + rate
    assert german != short


def test_two_voices_at_once_speak_one_after_the_other(host: Machine) -> None:
    for number in range(2):
        notify(host, "Claude waits for you", directories=["/opt/noted"], file=f"/tmp/voice-{number}.wav")
    words = eventually(
        lambda: host.run("cat", "/tmp/voices", check=False).split(),
        accept=lambda seen: len(seen) == 4,
        seconds=30,
    )
    assert words == ["begin", "end"] * 2
    assert sound(host, "/tmp/voice-0.wav") == sound(host, "/tmp/voice-1.wav")


def test_without_a_sound_device_nothing_is_said_and_nothing_fails(host: Machine) -> None:
    host.run("rm", "-f", "/tmp/voices")
    notify(host, "Claude waits for you", directories=["/opt/noted"])
    notify(host, "Claude waits for you", directories=["/opt/noted"], file="/tmp/after.wav")
    sound(host, "/tmp/after.wav")
    assert host.run("cat", "/tmp/voices").split() == ["begin", "end"]
