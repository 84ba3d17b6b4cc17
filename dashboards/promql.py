"""PromQL that panels share. Every name is the contract's, or recorded by files/rules."""

from __future__ import annotations

PERSON = 'team=~"$team",user=~"$user",instance=~"$host",project=~"$project"'
"""Selects by the dashboard's variables where a series has all four labels."""

MODEL = PERSON + ',model=~"$model"'

HOST = 'team=~"$team",instance=~"$host"'
"""Selects series that a host has once, such as the exporter's own."""


def _selector(metric: str, where: str, extra: str) -> str:
    return "{" + ",".join(part for part in (f'metric="{metric}"', where, extra) if part) + "}"


def _by(labels: str) -> str:
    return f"sum by ({labels})" if labels else "sum"


def added(metric: str, *, by: str = "", where: str = PERSON, extra: str = "") -> str:
    """Return what counter `claude_code_<metric>_total` gained over the dashboard's time range.

    by: comma-separated labels to keep. extra: more matchers.
    """
    return (
        f"{_by(by)} (sum_over_time(claude_code:increase10m{_selector(metric, where, extra)}[$__range:10m]))"
    )


def hourly(metric: str, *, by: str = "", where: str = PERSON, extra: str = "") -> str:
    """Return what counter `claude_code_<metric>_total` gained in the hour before each point."""
    return f"{_by(by)} (claude_code:increase1h{_selector(metric, where, extra)})"


def quantile(q: float, histogram: str, *, by: str, where: str, window: str = "$__rate_interval") -> str:
    """Return quantile `q` of a histogram of the contract, in the histogram's unit."""
    return (
        f"histogram_quantile({q}, sum by ({by}, le) "
        f"(increase(claude_code_{histogram}_bucket{{{where}}}[{window}])))"
    )


def top(count: int, query: str) -> str:
    """Return the `count` largest of `query`, largest first."""
    return f"sort_desc(topk({count}, {query}))"


def or_zero(query: str) -> str:
    """Return `query`, or 0 where it has no series: a sum of nothing is nothing, not unknown."""
    return f"{query} or vector(0)"


def share(part: str, whole: str) -> str:
    """Return `part` of `whole`, and nothing where the whole is nothing."""
    return f"({part}) / ({whole} > 0)"
