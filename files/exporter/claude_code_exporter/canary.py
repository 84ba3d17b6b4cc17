"""A synthetic event, for whoever checks the way from journal to numbers where no hooks are installed."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def fly(directory: Path) -> None:
    """Append one canary to the caller's journal in `directory`. Raises OSError."""
    descriptor = os.open(directory / f"{os.geteuid()}.canary.jsonl", APPEND, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        data = json.dumps({"t": time.time(), "e": "Canary"}) + "\n"
        if os.fstat(descriptor).st_size == 0:
            os.fchmod(descriptor, 0o640)
            data = json.dumps({"journal": secrets.token_hex(16), "v": 1}) + "\n" + data
        os.write(descriptor, data.encode("ascii"))
    finally:
        os.close(descriptor)
