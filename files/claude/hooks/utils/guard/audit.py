"""The audit trail: one JSON line for each block, secrets masked, readable by its user and root only."""

from __future__ import annotations

import fcntl
import os
import re
import time

from utils.quickjson import dumps

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from utils.guard.verdict import Verdict

MODE = 0o600
LARGEST = 1 << 20  # bytes of one file; four older ones are kept
KEPT = 4
LONGEST = 2_000  # characters of a command
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC

_NAMED = re.compile(
    r"(?i)(\b[\w.-]*(?:passw(?:or)?d|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|auth)[\w.-]*"
    r"[\"']?\s*[:=]\s*[\"']?)([^\s\"'&;|]+)"
)
_OPTION = re.compile(
    r"(?i)(--?(?:password|passwd|pass|token|secret|api-?key|auth|user|u)[= ]\s*[\"']?)([^\s\"'&;|]+)"
)
_HEADER = re.compile(r"(?i)(authorization:\s*(?:bearer|basic|token)?\s*|x-api-key:\s*|bearer\s+)([^\s\"']+)")
_URL = re.compile(r"(\w+://[^\s/:@]+:)([^\s/@]+)(@)")
_SHAPED = re.compile(
    r"\b(?:sk-[\w-]{8,}|gh[pousr]_\w{8,}|github_pat_\w+|glpat-[\w-]+|xox[abprs]-[\w-]+|AKIA[0-9A-Z]{12,}|AIza[\w-]{20,}|"
    r"eyJ[\w-]{8,}\.[\w-]+\.?[\w-]*|npm_\w{20,}|hf_\w{16,})"
)
_LONG = re.compile(r"\b(?=[A-Za-z0-9+/_-]*\d)(?=[A-Za-z0-9+/_-]*[A-Za-z])[A-Za-z0-9+_-]{32,}={0,2}")
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL)


def masked(text: str) -> str:
    """Return `text` with what looks like a secret replaced by ``***``."""
    text = _KEY.sub("***", text)
    text = _HEADER.sub(r"\1***", text)
    text = _NAMED.sub(r"\1***", text)
    text = _OPTION.sub(r"\1***", text)
    text = _URL.sub(r"\1***\3", text)
    text = _SHAPED.sub("***", text)
    return _LONG.sub("***", text)


def record(
    directory: str, verdict: Verdict, *, tool: str, subject: str, mode: str, session: str, call: str, cwd: str
) -> None:
    """Append one block to ``audit.jsonl`` in `directory`; raises `OSError`."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    line: dict[str, str | float] = {
        "time": round(time.time(), 3),
        "reason": verdict.reason,
        "mode": mode,
        "tool": tool[:64],
        "session_id": session[:64],
        "tool_use_id": call[:64],
        "cwd": masked(cwd[:500]),
        "subject": masked(subject[:LONGEST]),
        "what": masked(verdict.what),
        "trail": masked(" > ".join(verdict.trail)[:LONGEST]),
    }
    data = dumps(line).encode("ascii") + b"\n"
    path = f"{directory}/audit.jsonl"
    lock = os.open(f"{directory}/audit.lock", _FLAGS, MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _rotate(path, len(data))
        descriptor = os.open(path, _FLAGS, MODE)
        try:
            os.fchmod(descriptor, MODE)
            os.write(descriptor, data)
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
