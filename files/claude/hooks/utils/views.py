"""What the slash commands say, made from samples of metrics and lines of the audit trail; pure."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? (\S+)')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
TOKEN_TYPES = ("input", "output", "cacheRead", "cacheCreation")


class Point(NamedTuple):
    """One sample of a metric."""

    name: str
    labels: Mapping[str, str]
    value: float


def parse(text: str) -> list[Point]:
    """Return the samples in Prometheus' text format; lines that are none are passed over."""
    points = []
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match:
            labels = {
                name: _ESCAPED.sub(lambda m: "\n" if m[1] == "n" else m[1], value)
                for name, value in _LABEL.findall(match[2] or "")
            }
            points.append(Point(match[1], labels, float(match[3])))
    return points


def of_user(points: Sequence[Point], user: str) -> tuple[list[Point], str]:
    """Return the samples of `user`, or of everybody where users have no names, and whose they are."""
    names = {point.labels["user"] for point in points if point.labels.get("user")}
    if user in names:
        return [point for point in points if point.labels.get("user", user) == user], f"user {user}"
    return list(points), "all users of this host"


def total(points: Iterable[Point], name: str, **labels: str) -> float:
    """Return the sum of the samples called `name` that carry `labels`."""
    return sum(
        point.value
        for point in points
        if point.name == f"claude_code_{name}"
        and all(point.labels.get(key) == value for key, value in labels.items())
    )


def values_of(points: Iterable[Point], name: str, label: str) -> list[str]:
    """Return the values that `label` has on samples called `name` that are not 0, the largest sums first."""
    sums: dict[str, float] = {}
    for point in points:
        if point.name == f"claude_code_{name}" and point.value:
            value = point.labels.get(label, "")
            sums[value] = sums.get(value, 0.0) + point.value
    return sorted(sums, key=lambda value: (-sums[value], value))


def tokens(count: Callable[[str], float]) -> str:
    """Return a sum of tokens with its four parts, each as `count` says by its type."""
    parts = {kind: count(kind) for kind in TOKEN_TYPES}
    names = {"cacheRead": "cache read", "cacheCreation": "cache written"}
    detail = ", ".join(f"{names.get(kind, kind)} {value:,.0f}" for kind, value in parts.items())
    return f"{sum(parts.values()):,.0f} tokens ({detail})"


def meter(points: Sequence[Point], *, user: str, session: str, day: Mapping[str, float] | None) -> str:
    """Return what the session, the day and everything counted on this host cost.

    day: ``usd`` and ``tokens`` of the last 24 hours, or None without Prometheus.
    """
    mine, whose = of_user(points, user)
    lines = [f"Claude Code, {whose}"]
    here = [point for point in mine if point.labels.get("session_id") == session]
    if here:
        cost = total(here, "cost_usd")
        lines.append(
            f"  this session   ${cost:.4f}   {tokens(lambda kind: total(here, 'tokens_consumed', type=kind))}"
        )
    else:
        lines.append("  this session   nothing measured yet; costs arrive some seconds after an answer")
    if day is not None:
        lines.append(f"  last 24 hours  ${day['usd']:.4f}   {day['tokens']:,.0f} tokens")
    cost = total(mine, "spend_usd_total")
    lines.append(
        f"  counted here   ${cost:.4f}   {tokens(lambda kind: total(mine, 'tokens_total', type=kind))}"
    )
    lines += [
        f"    {model:20} ${total(mine, 'spend_usd_total', model=model):.4f}"
        for model in values_of(mine, "spend_usd_total", "model")
    ]
    tools = []
    for tool in values_of(mine, "tool_usage_total", "tool"):
        failed = total(mine, "tool_usage_total", tool=tool, outcome="failure")
        blocked = total(mine, "tool_usage_total", tool=tool, outcome="blocked")
        notes = [f"{failed:.0f} failed"] * bool(failed) + [f"{blocked:.0f} blocked"] * bool(blocked)
        count = f"{tool} {total(mine, 'tool_usage_total', tool=tool):.0f}"
        tools.append(f"{count} ({', '.join(notes)})" if notes else count)
    lines.append("  tools          " + (", ".join(tools) or "none yet"))
    return "\n".join(lines)


def blocked(
    points: Sequence[Point], audit: Sequence[Mapping[str, object]], *, user: str, shown: int = 10
) -> str:
    """Return how often the guard blocked and why, and the `shown` latest entries of the audit trail."""
    mine, whose = of_user(points, user)
    lines = [f"Blocked by the guard, {whose}"]
    for reason in values_of(mine, "security_blocks_total", "reason"):
        by_tool = ", ".join(
            f"{tool} {total(mine, 'security_blocks_total', reason=reason, tool=tool):.0f}"
            for tool in values_of(
                [point for point in mine if point.labels.get("reason") == reason],
                "security_blocks_total",
                "tool",
            )
        )
        lines.append(f"  {reason:12} {total(mine, 'security_blocks_total', reason=reason):.0f}  ({by_tool})")
    if len(lines) == 1:
        lines.append("  nothing was counted")
    lines.append(f"Latest of {len(audit)} in your audit trail" if audit else "Your audit trail is empty.")
    for entry in list(audit)[-shown:][::-1]:
        moment = entry.get("time")
        when = time.strftime(
            "%Y-%m-%d %H:%M:%S", time.localtime(moment if isinstance(moment, (int, float)) else 0)
        )
        reason, tool, subject = (
            " ".join(str(entry.get(key, "")).split()) for key in ("reason", "tool", "subject")
        )
        lines.append(f"  {when}  {reason:12} {tool:6} {subject[:120]}")
    return "\n".join(lines)


class Check(NamedTuple):
    """One thing that must be so for numbers to arrive: `remedy` says what to do when it is not."""

    what: str
    good: bool
    found: str
    remedy: str = ""


def telemetry(checks: Sequence[Check]) -> str:
    """Return the checks, the failed ones with their remedy, and a verdict on the first line."""
    failed = [check for check in checks if not check.good]
    head = f"{len(failed)} of {len(checks)} checks failed" if failed else "Telemetry is healthy"
    lines = [head]
    for check in checks:
        lines.append(f"  {'ok  ' if check.good else 'FAIL'}  {check.what}: {check.found}")
        if not check.good and check.remedy:
            lines.append(f"        {check.remedy}")
    return "\n".join(lines)
