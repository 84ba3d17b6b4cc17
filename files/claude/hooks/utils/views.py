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


def meter(
    points: Sequence[Point], *, user: str, session: str, day: Mapping[str, float] | None, costs: bool = True
) -> str:
    """Return what the session, the day and everything counted here cost, and which tools were used.

    day: ``usd`` and ``tokens`` of the last 24 hours, or None without Prometheus. costs: whether anybody here
    receives Claude Code's telemetry, which alone knows costs.
    """
    mine, whose = of_user(points, user)
    lines = [f"Claude Code, {whose}"]
    if costs:
        lines += _costs(mine, session=session, day=day)
    else:
        lines.append(
            "  costs          not known here: the roles claude_telemetry and claude_exporter bring them"
        )
    return "\n".join([*lines, "  tools          " + (", ".join(_tools(mine)) or "none yet")])


def _costs(mine: Sequence[Point], *, session: str, day: Mapping[str, float] | None) -> list[str]:
    lines = []
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
    return lines


def _tools(mine: Sequence[Point]) -> list[str]:
    tools = []
    for tool in values_of(mine, "tool_usage_total", "tool"):
        failed = total(mine, "tool_usage_total", tool=tool, outcome="failure")
        blocks = total(mine, "tool_usage_total", tool=tool, outcome="blocked")
        notes = [f"{failed:.0f} failed"] * bool(failed) + [f"{blocks:.0f} blocked"] * bool(blocks)
        count = f"{tool} {total(mine, 'tool_usage_total', tool=tool):.0f}"
        tools.append(f"{count} ({', '.join(notes)})" if notes else count)
    return tools


def blocked(points: Sequence[Point], *, user: str) -> str:
    """Return how often the guard blocked, by reason and tool."""
    mine, whose = of_user(points, user)
    name = "security_blocks_total"
    lines = [f"Blocked by the guard, {whose}"]
    for reason in values_of(mine, name, "reason"):
        of_reason = [point for point in mine if point.labels.get("reason") == reason]
        tools = [
            f"{tool} {total(of_reason, name, tool=tool):.0f}" for tool in values_of(of_reason, name, "tool")
        ]
        lines.append(f"  {reason:12} {total(of_reason, name):.0f}  ({', '.join(tools)})")
    if len(lines) == 1:
        lines.append("  nothing")
    return "\n".join(lines)


def trail(audit: Sequence[Mapping[str, object]], *, shown: int = 10) -> str:
    """Return the `shown` latest entries of the audit trail, the newest first."""
    if not audit:
        return "Your audit trail is empty."
    lines = [f"Latest of {len(audit)} in your audit trail"]
    for entry in reversed(audit[-shown:]):
        moment = entry.get("time")
        local = time.localtime(moment if isinstance(moment, (int, float)) else 0)
        words = (" ".join(str(entry.get(key, "")).split()) for key in ("reason", "tool", "subject"))
        reason, tool, subject = words
        lines.append(f"  {time.strftime('%Y-%m-%d %H:%M:%S', local)}  {reason:12} {tool:6} {subject[:120]}")
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
