"""A file of lines that its user alone can read, and that cannot grow without end."""

from __future__ import annotations

import fcntl
import os

MODE = 0o600
LARGEST = 1 << 20  # bytes of one file; older ones are kept beside it, the oldest with the highest number
KEPT = 4
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def append(path: str, line: bytes) -> None:
    """Append `line`, with its newline, to the file at `path`, which ends in ``.jsonl``; raises `OSError`."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    lock = os.open(f"{path[: -len('.jsonl')]}.lock", _FLAGS, MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _rotate(path, len(line))
        descriptor = os.open(path, _FLAGS, MODE)
        try:
            os.fchmod(descriptor, MODE)
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
    finally:
        os.close(lock)


def _rotate(path: str, coming: int) -> None:
    try:
        if os.lstat(path).st_size + coming <= LARGEST:
            return
    except FileNotFoundError:
        return
    for number in range(KEPT, 0, -1):
        older = f"{path}.{number}"
        newer = f"{path}.{number - 1}" if number > 1 else path
        if os.path.lexists(newer):
            os.replace(newer, older)
