"""A session's duration is right whichever way it ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from utils.meter.sessions import Span, advance, cut, expire

TIMEOUT = 1800.0
EVENTS = ("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop", "SessionEnd")


def live(*steps: tuple[str, float], detail: str = "startup") -> tuple[Span | None, list[float]]:
    """Return the span after `steps` of (event, time), and the durations observed on the way."""
    span: Span | None = None
    durations = []
    for event, time in steps:
        span, lasted = advance(span, event=event, detail=detail, time=time, timeout=TIMEOUT)
        if lasted is not None:
            durations.append(lasted)
    return span, durations


def test_a_session_that_says_its_end_lasts_from_start_to_end() -> None:
    span, durations = live(("SessionStart", 100), ("UserPromptSubmit", 110), ("SessionEnd", 160))
    assert (span, durations) == (Span(open=False, seen=160, elapsed=60, said=True), [60])


def test_a_session_that_never_says_its_end_lasts_until_it_was_last_heard_of() -> None:
    span, _ = live(("SessionStart", 100), ("Stop", 400))
    assert span is not None
    assert expire(span, now=400 + TIMEOUT, timeout=TIMEOUT) == (span, None)
    assert expire(span, now=401 + TIMEOUT, timeout=TIMEOUT)[1] == 300


def test_silence_splits_a_session_whether_or_not_anybody_watched_the_clock() -> None:
    watched, _ = live(("SessionStart", 100), ("Stop", 400))
    assert watched is not None
    closed, lasted = expire(watched, now=9000, timeout=TIMEOUT)
    anew = advance(closed, event="UserPromptSubmit", detail="", time=9000, timeout=TIMEOUT)
    unwatched = live(("SessionStart", 100), ("Stop", 400), ("UserPromptSubmit", 9000))
    assert ([lasted], anew) == ([300], (unwatched[0], None))
    assert unwatched[1] == [300]


def test_a_resume_after_a_kill_closes_the_run_that_was_killed() -> None:
    span, durations = live(("SessionStart", 100), ("PreToolUse", 130), ("SessionStart", 500))
    assert durations == [30]
    assert span == Span(open=True, seen=500, elapsed=0)


def test_a_compaction_is_no_new_session() -> None:
    span, durations = live(("SessionStart", 100), ("SessionStart", 150), detail="compact")
    assert (span, durations) == (Span(open=True, seen=150, elapsed=50), [])


def test_a_straggler_does_not_open_what_has_said_that_it_ended() -> None:
    span, durations = live(("SessionStart", 100), ("SessionEnd", 160), ("Stop", 161), ("SessionEnd", 162))
    assert span is not None
    assert not span.open
    assert durations == [60]


def test_a_resume_after_the_end_is_observed_as_a_duration_of_its_own() -> None:
    _, durations = live(
        ("SessionStart", 100), ("SessionEnd", 160), ("SessionStart", 900), ("SessionEnd", 910)
    )
    assert durations == [60, 10]


def test_a_reboot_closes_a_session_where_it_was_last_heard_of() -> None:
    span, _ = live(("SessionStart", 100), ("Stop", 130))
    assert span is not None
    assert cut(span) == (Span(open=False, seen=130, elapsed=30), 30)


def test_an_end_without_a_beginning_has_no_duration() -> None:
    assert live(("SessionEnd", 100)) == (Span(open=False, seen=100, elapsed=0, said=True), [])


def test_a_clock_set_back_neither_shortens_nor_stops_the_count() -> None:
    _, durations = live(("SessionStart", 5000), ("Stop", 5010), ("PreToolUse", 1000), ("SessionEnd", 1020))
    assert durations == [30]


def test_a_clock_set_back_does_not_keep_a_silent_session_open() -> None:
    span, _ = live(("SessionStart", 90_000), ("Stop", 90_010))
    assert span is not None
    followed, lasted = expire(span, now=1000, timeout=TIMEOUT)
    assert (followed.seen, lasted) == (1000, None)
    assert expire(followed, now=1000 + 2 * TIMEOUT, timeout=TIMEOUT)[1] == 10


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.floats(1, 1e9)), max_size=30))
def test_durations_are_never_negative_whatever_the_clock_does(steps: list[tuple[str, float]]) -> None:
    span, durations = live(*steps)
    final = [] if span is None else [expire(span, now=2e9, timeout=TIMEOUT)[1]]
    assert all(lasted is None or lasted >= 0 for lasted in durations + final)


@given(st.lists(st.floats(0, 1799), min_size=1, max_size=30))
def test_a_session_that_never_falls_silent_lasts_the_sum_of_its_gaps(gaps: list[float]) -> None:
    time = 1000.0
    steps = [("SessionStart", time)]
    for gap in gaps:
        time += gap
        steps.append(("Stop", time))
    _, durations = live(*steps, ("SessionEnd", time))
    assert len(durations) == 1
    assert abs(durations[0] - sum(gaps)) < 1e-6


@given(st.lists(st.sampled_from(EVENTS), max_size=30))
def test_every_close_follows_an_opening_of_its_own(events: list[str]) -> None:
    span: Span | None = None
    opened = closed = 0
    for number, event in enumerate(events):
        was = span is not None and span.open
        span, lasted = advance(span, event=event, detail="", time=float(number), timeout=TIMEOUT)
        closed += lasted is not None
        opened += span.open and (not was or lasted is not None)
    assert opened - closed == int(span is not None and span.open)
