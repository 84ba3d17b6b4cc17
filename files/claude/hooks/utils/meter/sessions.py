"""A session's states: open while it is heard of, closed by its end, by silence, or by a reboot of the host.

Pure functions over `Span`. Claude Code often does not say when a session ends, so the end is one closer of
several; a session that is heard of again after a close is a new span and its duration is observed anew. Times
are the writers' wall clock, which may jump both ways: only differences between neighbouring events count, and
only those that are neither negative nor longer than the timeout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

COMPACT = "compact"
_OPENERS = frozenset({"SessionStart", "UserPromptSubmit", "PreToolUse"})
_STEP_BACK = 60.0  # seconds; a clock that goes back by more was set, by less it is a race between two hooks


class Span(NamedTuple):
    """seen: when it was last heard of. elapsed: seconds it has lasted. said: it said that it ended."""

    open: bool
    seen: float
    elapsed: float
    said: bool = False


if TYPE_CHECKING:
    Step = tuple[Span, float | None]
    """The new span, and the duration in seconds of one that closed."""


def advance(span: Span | None, *, event: str, detail: str, time: float, timeout: float) -> Step:
    """Return what a hook event at `time` makes of `span`; None is a session never heard of."""
    ends = event == "SessionEnd"
    if span is None:
        return Span(not ends, time, 0.0, ends), None
    if not span.open:
        if ends:
            return span._replace(said=True), None
        if span.said and event not in _OPENERS:
            return span, None  # a straggler of a session that has said that it ended
        return Span(True, time, 0.0), None  # noqa: FBT003
    gap = time - span.seen
    restarted = event == "SessionStart" and detail != COMPACT
    if gap > timeout or restarted:
        return Span(not ends, time, 0.0, ends), span.elapsed
    if gap < 0:
        seen = time if gap < -_STEP_BACK else span.seen
        span = span._replace(seen=seen)
    else:
        span = span._replace(seen=time, elapsed=span.elapsed + gap)
    if ends:
        return span._replace(open=False, said=True), span.elapsed
    return span, None


def expire(span: Span, *, now: float, timeout: float) -> Step:
    """Return what the passing of time makes of `span`."""
    if not span.open:
        return span, None
    if span.seen - now > _STEP_BACK:
        return span._replace(seen=now), None
    if now - span.seen > timeout:
        return cut(span)
    return span, None


def cut(span: Span) -> Step:
    """Close `span` where it was last heard of: after silence, or because the host was started anew."""
    if not span.open:
        return span, None
    return span._replace(open=False), span.elapsed
