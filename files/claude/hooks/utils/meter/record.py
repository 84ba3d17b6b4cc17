"""A journal line, parsed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LINE = 4096
_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")
_LATEST = 1e11  # seconds; beyond any clock
_LONGEST = 604_800_000  # milliseconds: a week


class Malformed(ValueError):  # noqa: N818  # it is the input's state, not the program's error
    """Input that cannot be counted; `reason` is one of a closed list and becomes a label."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Record(NamedTuple):
    """One hook event. Times are seconds since the epoch, `duration` is in milliseconds."""

    time: float
    event: str
    session: str = ""
    project: str = ""
    tool: str = ""
    use: str = ""
    duration: float | None = None
    blocked: str = ""
    audited: str = ""
    detail: str = ""
    input_size: str = ""
    output_size: str = ""


def _no_constant(name: str) -> float:
    raise ValueError(name)


_decode = json.JSONDecoder(parse_constant=_no_constant).decode


def parse(line: bytes) -> Record | None:
    """Return the record in `line` (without its newline), or None for a journal's header.

    Raises `Malformed`: ``line_too_long``, ``json``, ``field``, ``session``.
    """
    if len(line) >= MAX_LINE:
        raise Malformed("line_too_long")
    try:
        fields: Any = _decode(line.decode("ascii"))
    except (ValueError, RecursionError):
        raise Malformed("json") from None
    if type(fields) is not dict:
        raise Malformed("json")
    get: Callable[..., Any] = fields.get
    event = get("e")
    if event is None and "journal" in fields:
        return None
    time = get("t")
    if type(time) not in (int, float) or not 0 < time < _LATEST or type(event) is not str or not event:
        raise Malformed("field")
    duration = get("d")
    if duration is not None and (type(duration) not in (int, float) or not 0 <= duration <= _LONGEST):
        raise Malformed("field")
    record = Record(
        time,
        event,
        get("s", ""),
        get("p", ""),
        get("k", ""),
        get("i", ""),
        duration,
        get("r", ""),
        get("a", ""),
        get("x", ""),
        get("n", ""),
        get("o", ""),
    )
    for text in (record.session, record.project, record.tool, record.use):
        if type(text) is not str:
            raise Malformed("field")
    for text in record[7:]:
        if type(text) is not str:
            raise Malformed("field")
    if record.session and not _SESSION.match(record.session):
        raise Malformed("session")
    return record


_IDENTIFIER = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")


def identifier_of(value: object) -> str:
    """Return `value` if it is a request's or a tool call's identifier, else nothing."""
    return value if isinstance(value, str) and _IDENTIFIER.match(value) else ""


def session_of(value: object) -> str:
    """Return `value` if it is a session's identifier, else nothing."""
    return value if isinstance(value, str) and _SESSION.match(value) else ""
