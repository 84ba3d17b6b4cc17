"""A telemetry hook, whole: it reads its input, appends one line, and never stands in anybody's way."""

from __future__ import annotations

import os
import sys

from utils.journal import append
from utils.quickjson import loads
from utils.settings import load

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from collections.abc import Callable

    from utils.settings import Settings

    Input = dict[str, object]


def journal_input(more: Callable[[Input], dict[str, str]] | None = None) -> tuple[Settings, Input]:
    """Append one line for the hook's input on standard input, and return the settings and that input.

    more: makes further keys of the line from the input.

    Raises `ValueError` for input that is no hook's, and `OSError` when the journal cannot be written.
    """
    hook_input = loads(sys.stdin.buffer.read())
    if not isinstance(hook_input, dict):
        message = "the hook's input is no JSON object"
        raise ValueError(message)
    event = hook_input.get("hook_event_name")
    session = hook_input.get("session_id")
    if not (isinstance(event, str) and event and isinstance(session, str) and session):
        message = "the hook's input names no event or no session"
        raise ValueError(message)
    settings = load(sys.argv, os.environ)
    append(settings, event, hook_input, **(more(hook_input) if more else {}))
    return settings, hook_input


def detach() -> bool:
    """Return True in a child that has left the caller's session and streams, False in the caller."""
    if os.fork():
        return False
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    return True
