"""What is not counted but stands: open sessions, their cost so far, reconciliation, the latest canary."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .contract import CONTRACT
from .series import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .live import Session
    from .series import SeriesTable

SHOWN = 200
"""Sessions with gauges of their own at any time; of more, those heard of latest."""


def standing(
    series: SeriesTable, live: list[Session], *, canary: Mapping[str, int]
) -> dict[str, list[Sample]]:
    """Return the samples by metric. live: open and lingering sessions.

    canary: what is known of the latest, in microseconds: `canary`, its time, and `canary_latency`.
    """
    return {
        "claude_code_active_sessions": _active(series, live),
        "claude_code_cost_usd": _of_sessions(series, live, "claude_code_cost_usd"),
        "claude_code_tokens_consumed": _of_sessions(series, live, "claude_code_tokens_consumed"),
        "claude_code_reconciliation_difference_ratio": _reconciled(series),
        "claude_code_canary_latency_seconds": _canary(series, "latency", canary.get("canary_latency")),
        "claude_code_canary_timestamp_seconds": _canary(series, "timestamp", canary.get("canary")),
    }


def _active(series: SeriesTable, live: list[Session]) -> list[Sample]:
    name = "claude_code_active_sessions"
    opened = Counter((session.user, session.project) for session in live if session.open)
    return [Sample(name, series.labelled((name, *pair, ())), opened[pair]) for pair in sorted(series.pairs)]


def _of_sessions(series: SeriesTable, live: list[Session], name: str) -> list[Sample]:
    scale = CONTRACT[name].scale
    latest = sorted(live, key=lambda session: session.heard, reverse=True)[:SHOWN]
    return [
        Sample(
            name,
            series.labelled((name, session.user, session.project, (session.id, *labels))),
            value / scale if scale > 1 else value,
        )
        for session in latest
        for (metric, labels), value in session.gauges.items()
        if metric == name
    ]


def _reconciled(series: SeriesTable) -> list[Sample]:
    name = "claude_code_reconciliation_difference_ratio"
    found = []
    for quantity, by_metric, by_event in (
        ("cost", "claude_code_spend_usd_total", "claude_code_request_cost_usd_total"),
        ("tokens", "claude_code_tokens_total", "claude_code_request_tokens_total"),
    ):
        metric, event = series.total(by_metric), series.total(by_event)
        if metric and event:  # one source alone is a switch that is off, not a difference
            labels = series.labelled((name, "", "", (quantity,)))
            found.append(Sample(name, labels, (metric - event) / max(metric, event)))
    return found


def _canary(series: SeriesTable, what: str, micros: int | None) -> list[Sample]:
    name = f"claude_code_canary_{what}_seconds"
    if micros is None:
        return []
    return [Sample(name, series.labelled((name, "", "", ())), micros / CONTRACT[name].scale)]
