"""The optional log of tool calls: one JSON line for each, secrets masked, for its user alone."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

from utils.guard.audit import masked
from utils.trail import append

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 1_000  # characters of any text that are kept
_LOOKED_AT = 20_000  # characters of a text that are masked: a secret at the cut is far behind what is kept
_SECRET = re.compile(r"(?i)passw|passphrase|secret|token|api.?key|access.?key|private.?key|credential|^auth")


def cleaned(value: object, *, key: str = "") -> object:
    """Return `value` with secrets masked and long texts cut; `key` is the name it has, if any."""
    if isinstance(value, dict):
        return {str(name)[:64]: cleaned(each, key=str(name)) for name, each in value.items()}
    if isinstance(value, list):
        return [cleaned(each, key=key) for each in value[:50]]
    if key and _SECRET.search(key) and value not in (None, "", True, False):
        return "***"
    if isinstance(value, str):
        text = masked(value[:_LOOKED_AT])
        return text if len(value) <= LONGEST else f"{text[:LONGEST]}… ({len(value)} characters)"
    return value


def record(path: str, hook_input: Mapping[str, object], *, now: float) -> None:
    """Append a finished call to the log at `path`; raises `OSError`."""
    failed = hook_input.get("hook_event_name") == "PostToolUseFailure"
    line = {
        "time": round(now, 3),
        "tool": hook_input.get("tool_name"),
        "outcome": "failure" if failed else "success",
        "duration_ms": hook_input.get("duration_ms"),
        "session_id": hook_input.get("session_id"),
        "tool_use_id": hook_input.get("tool_use_id"),
        "cwd": cleaned(hook_input.get("cwd")),
        "input": cleaned(hook_input.get("tool_input")),
        "output": cleaned(hook_input.get("error" if failed else "tool_response")),
    }
    append(os.path.expanduser(path), json.dumps(line).encode("ascii") + b"\n")
