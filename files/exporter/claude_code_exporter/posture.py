"""What the host found when it last tested its own guard: a small file of root's that the exporter shows."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

OUTDATED = 25 * 3600.0
"""Seconds after which a test says nothing any more: one that runs daily may be an hour late."""
LARGEST = 4096
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Posture:
    """Whether the guard blocked all it should (None: not tested lately); version and hash of the hooks."""

    guard_effective: bool | None
    version: str
    digest: str


def read(path: Path | None, *, now: float) -> Posture | None:
    """Read `{"checked": seconds since the epoch, "guard_effective": bool, "version": text, "hash": text}`.

    Returns None where there is no such file, or none to be believed: others than root and the exporter
    itself could have written it, or it says something else.
    """
    if path is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            mine = stat.S_ISREG(status.st_mode) and status.st_uid in (0, os.geteuid())
            if not mine or status.st_mode & 0o022:
                return None
            said = json.loads(os.read(descriptor, LARGEST))
        finally:
            os.close(descriptor)
        checked, effective = float(said["checked"]), said["guard_effective"]
        version, digest = said["version"], said["hash"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(effective, bool) or not (WORD.match(str(version)) and WORD.match(str(digest))):
        return None
    fresh = -60 <= now - checked < OUTDATED
    return Posture(effective if fresh else None, str(version), str(digest))
