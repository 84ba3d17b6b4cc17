"""The journal: one line for each hook event, appended so that no crash and no neighbour can spoil it."""

from __future__ import annotations

import fcntl
import os
import stat
import time

from utils.quickjson import dumps

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from collections.abc import Mapping

    from utils.settings import Settings

MODE = 0o640
VERSION = 1
LOCK_PATIENCE = 0.5  # seconds; the holder is one write or one unlink away from letting go, or it is stopped
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_LONGEST = 604_800_000  # milliseconds: a week; a longer duration is a clock's fault
_CLIP = 64  # characters of any text; with it no line reaches the 4,096 bytes a record may have

# The one detail of an event that is counted, by the name it has in the hook's input.
DETAIL = {
    "SessionStart": "source",
    "SessionEnd": "reason",
    "PreCompact": "trigger",
    "PostCompact": "trigger",
    "Notification": "notification_type",
    "SubagentStart": "agent_type",
    "SubagentStop": "agent_type",
}


def project_of(cwd: object, environ: Mapping[str, str]) -> str:
    """Return the base name of ``CLAUDE_PROJECT_DIR``, else of `cwd`, else nothing; never a path."""
    path = environ.get("CLAUDE_PROJECT_DIR") or (cwd if isinstance(cwd, str) else "")
    name = path.rstrip("/").rpartition("/")[2][:_CLIP]
    return name.encode("utf-8", "replace").decode()  # a lone surrogate could not become a label


def record(
    event: str, hook_input: Mapping[str, object], environ: Mapping[str, str], *, now: float
) -> dict[str, str | float]:
    """Return the journal's record of `event`; docs/architecture.md lists its keys, empty ones stay out."""
    found: dict[str, object] = {
        "s": hook_input.get("session_id"),
        "k": hook_input.get("tool_name"),
        "i": hook_input.get("tool_use_id"),
        "x": hook_input.get(DETAIL.get(event, "")),
    }
    line: dict[str, str | float] = {"t": round(now, 6), "e": _text(event)}
    for key, value in found.items():
        if isinstance(value, str) and value:
            line[key] = _text(value)
    project = project_of(hook_input.get("cwd"), environ)
    if project:
        line["p"] = project
    duration = hook_input.get("duration_ms")
    if isinstance(duration, (int, float)) and not isinstance(duration, bool) and 0 <= duration <= _LONGEST:
        line["d"] = duration
    return line


def append(settings: Settings, event: str, hook_input: Mapping[str, object], **fields: str) -> None:
    """Append one line for `event` to the caller's journal.

    hook_input: what Claude Code gave the hook. fields: further keys, such as the guard's ``r`` or ``a``.
    Does nothing where the settings are not active. Raises `OSError` only.
    """
    if not settings.active:
        return
    line = record(event, hook_input, settings.environ, now=time.time())
    for key, value in fields.items():
        line[key] = _text(value)
    data = dumps(line).encode("ascii") + b"\n"
    if not settings.installed:
        os.makedirs(settings.journal_dir, mode=0o700, exist_ok=True)
    descriptor = _open_first(settings.journal_dir)
    try:
        _write(descriptor, data)
    finally:
        os.close(descriptor)


def _text(value: str) -> str:
    """Return identifiers and words of closed lists as ASCII of bounded length."""
    return value[:_CLIP].encode("ascii", "replace").decode()


def _open_first(directory: str) -> int:
    """Return the caller's journal in `directory`, open and locked: the plain one if it is to be had."""
    uid = os.geteuid()
    attempt = -1
    while True:
        suffix = "" if attempt < 0 else f".{attempt:08x}" if attempt < 8 else f".{os.urandom(4).hex()}"
        descriptor = _open(f"{directory}/{uid}{suffix}.jsonl")
        if descriptor is not None:
            return descriptor
        attempt += 1


def _open(path: str) -> int | None:
    """Return a descriptor of `path`, locked and current, or None when the file is not ours to use.

    Raises `OSError` when no file of any name can be made here.
    """
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            descriptor = os.open(path, _FLAGS, MODE)
        except OSError:
            if os.path.lexists(path):  # a link, a directory, another user's file
                return None
            raise
        usable = _is_ours(descriptor) and _locked(descriptor, deadline)
        if usable and _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)
        if not usable:
            return None
        # Rotated between open and lock: what stands there now is the journal.


def _is_ours(descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink <= 1


def _locked(descriptor: int, deadline: float) -> bool:
    pause = 0.0005
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
            pause = min(pause * 2, 0.01)
        else:
            return True


def _is_at(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write(descriptor: int, data: bytes) -> None:
    """Write `data` after a header where the file is new, and after a newline where a writer was killed."""
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        if b"\n" in os.pread(descriptor, 128, 0):
            data = b"\n" + data
        else:  # killed within the header: nothing was ever readable here
            os.ftruncate(descriptor, 0)
            size = 0
    if size == 0:
        os.fchmod(descriptor, MODE)  # whatever the caller's umask: the exporter reads it as the group
        header = dumps({"journal": os.urandom(16).hex(), "v": VERSION})
        data = header.encode("ascii") + b"\n" + data
    if os.write(descriptor, data) != len(data):
        os.ftruncate(descriptor, size)  # a full disk took a part: no line is better than half of one
        message = "the journal's file system took only a part of a line"
        raise OSError(message)
