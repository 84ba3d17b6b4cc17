"""A synthetic event: regularly from the exporter itself, and for whoever checks the way to the numbers."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from threading import Event

log = logging.getLogger("exporter")
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


def keep_flying(directory: Path, interval: float, stop: Event) -> None:
    """Append a canary every `interval` seconds until `stop`, and log the first failure in a row."""
    failed = False
    while not stop.wait(interval):
        try:
            fly(directory)
        except OSError as error:
            if not failed:
                log.error("no synthetic event can be written in %s: %s", directory, error)
            failed = True
        else:
            failed = False
