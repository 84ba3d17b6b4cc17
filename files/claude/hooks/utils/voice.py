"""Says a notification aloud, or shows it on the desktop, with what the machine has."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TYPES = ("permission_prompt", "idle_prompt")
DIRECTORIES = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin")
ENGINES = ("spd-say", "espeak-ng", "say", "notify-send")
SILENT = ("", "off")
LONGEST = 200  # characters that are said
PATIENCE = 20.0  # seconds for the voice before us; what is older than that need not be said any more
SPEECH = 30.0  # seconds after which a voice is cut off
KEYS = ("engine", "language", "voice", "types", "quiet_hours", "directories", "file")


class Wish(NamedTuple):
    """How notifications are to be announced.

    engine: one of `ENGINES`, ``auto`` for the first that is there, or ``off``. language, voice: the engine's.
    types: notification types that are announced. quiet_hours: ``HH:MM-HH:MM``, over midnight too, or empty.
    directories: where engines are looked for. file: for espeak-ng, a WAV file instead of the loudspeaker.
    """

    engine: str = "off"
    language: str = "en"
    voice: str = ""
    types: Sequence[str] = TYPES
    quiet_hours: str = ""
    directories: Sequence[str] = DIRECTORIES
    file: str = ""


def wish(notification: Mapping[str, object]) -> Wish:
    """Return the wish that the configuration's ``notification`` states; raises `ValueError`."""
    unknown = sorted(set(notification) - set(KEYS))
    if unknown:
        message = f"notification: unknown key {unknown[0]!r}; known are {', '.join(KEYS)}"
        raise ValueError(message)
    found = Wish()._replace(**notification)  # type: ignore[arg-type] # by name, and compared with the keys above
    if found.engine not in (*SILENT, "auto", *ENGINES):
        message = f"notification: engine must be off, auto or one of {', '.join(ENGINES)}"
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


def command(wanted: Wish) -> tuple[str, list[str]]:
    """Return the engine's name and its command line; the text comes on standard input or as the last word.

    Returns an empty name when the machine has none.
    """
    names = ENGINES if wanted.engine == "auto" else (wanted.engine,)
    for name in names:
        for directory in wanted.directories:
            if os.access(f"{directory}/{name}", os.X_OK):
                return name, [f"{directory}/{name}", *_options(name, wanted)]
    return "", []


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

    Raises `ValueError` for a wrong configuration and `OSError` when the engine cannot be started.
    """
    wanted = wish(notification)
    text = hook_input.get("message")
    if not isinstance(text, str) or hook_input.get("notification_type") not in wanted.types:
        return False
    now = time.localtime()
    if is_quiet(wanted.quiet_hours, minute=now.tm_hour * 60 + now.tm_min):
        return False
    name, argv = command(wanted)
    if not name or (name != "notify-send" and not wanted.file and not has_sound(os.environ)):
        return False
    text = " ".join(text.split())[:LONGEST].lstrip("-")
    by_stdin = name == "espeak-ng"
    with _turn(state_dir) as turn:
        if turn is None:
            return False
        subprocess.run(
            argv if by_stdin else [*argv, text],
            input=text if by_stdin else None,
            text=True,
            timeout=SPEECH,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    return True


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
