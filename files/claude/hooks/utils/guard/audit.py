"""The audit trail: one JSON line for each block, secrets masked, readable by its user and root only."""

from __future__ import annotations

import re
import time

from utils.quickjson import dumps
from utils.trail import append

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from utils.guard.verdict import Verdict

LONGEST = 2_000  # characters of a command

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
    append(f"{directory}/audit.jsonl", dumps(line).encode("ascii") + b"\n")
