"""An OTLP body in its JSON mapping, decoded into plain points and events."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from .record import Malformed

PREFIX = "claude_code."
DELTA, CUMULATIVE = 1, 2
_TEMPORALITY = {
    1: DELTA,
    2: CUMULATIVE,
    "AGGREGATION_TEMPORALITY_DELTA": DELTA,
    "AGGREGATION_TEMPORALITY_CUMULATIVE": CUMULATIVE,
}
_MOST = 1e15  # of anything: beyond it a double no longer counts

if TYPE_CHECKING:
    Value = str | int | float | bool
    Attributes = dict[str, Value]
    Rejected = dict[str, int]


class Point(NamedTuple):
    """One data point of a sum. Times in nanoseconds since the epoch."""

    name: str
    value: float
    temporality: int
    start: int
    time: int
    attributes: Attributes


class Event(NamedTuple):
    """One log record of Claude Code; `name` is without its prefix. `time` in nanoseconds since the epoch."""

    name: str
    time: int
    attributes: Attributes


def metrics(payload: object) -> tuple[list[Point], Rejected]:
    """Return the countable points of `payload` and how many were not, by reason.

    Reasons: ``not_a_sum``, ``temporality``, ``value``. Raises `Malformed` (``otlp``) if the body is no OTLP
    at all: then nothing of it counts.
    """
    points: list[Point] = []
    rejected: Counter[str] = Counter()
    for resource in _list(payload, "resourceMetrics"):
        for scope in _list(resource, "scopeMetrics"):
            for metric in _list(scope, "metrics"):
                _metric(metric, points, rejected)
    return points, dict(rejected)


def _metric(metric: object, points: list[Point], rejected: Counter[str]) -> None:
    data = _object(metric)
    name = data.get("name")
    if not isinstance(name, str):
        raise Malformed("otlp")
    if "sum" not in data:
        rejected["not_a_sum"] += 1
        return
    body = _object(data["sum"])
    temporality = _TEMPORALITY.get(_hashable(body.get("aggregationTemporality")))
    for item in _list(body, "dataPoints"):
        point = _object(item)
        attributes = _attributes(point)
        value = _number(point.get("asDouble", point.get("asInt")))
        if temporality is None:
            rejected["temporality"] += 1
        elif value is None:
            rejected["value"] += 1
        else:
            start, time = _nanoseconds(point, "startTimeUnixNano"), _nanoseconds(point, "timeUnixNano")
            points.append(Point(name, value, temporality, start, time, attributes))


def logs(payload: object) -> tuple[list[Event], Rejected]:
    """Return the named events of `payload` and how many records had no name, as ``unnamed``.

    Raises `Malformed` (``otlp``) if the body is no OTLP at all: then nothing of it counts.
    """
    events: list[Event] = []
    rejected: Counter[str] = Counter()
    for resource in _list(payload, "resourceLogs"):
        for scope in _list(resource, "scopeLogs"):
            for item in _list(scope, "logRecords"):
                record = _object(item)
                attributes = _attributes(record)
                name = attributes.get("event.name")
                if not isinstance(name, str) or not name:
                    name = _value(record.get("body"))
                if not isinstance(name, str) or not name:
                    rejected["unnamed"] += 1
                    continue
                name = name.removeprefix(PREFIX)
                events.append(Event(name, _nanoseconds(record, "timeUnixNano"), attributes))
    return events, dict(rejected)


def number(value: object) -> float | None:
    """Return an attribute's value as a number that is finite and not negative, or None.

    Claude Code sends some durations as text.
    """
    return _number(value)


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed("otlp")
    return value


def _list(value: object, key: str) -> list[object]:
    found = _object(value).get(key, [])
    if not isinstance(found, list):
        raise Malformed("otlp")
    return found


def _hashable(value: object) -> Any:
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def _attributes(owner: dict[str, Any]) -> Attributes:
    attributes: Attributes = {}
    for item in _list(owner, "attributes"):
        pair = _object(item)
        key = pair.get("key")
        if not isinstance(key, str):
            raise Malformed("otlp")
        value = _value(pair.get("value"))
        if value is not None:
            attributes[key] = value
    return attributes


def _value(value: object) -> Value | None:
    """Return a scalar AnyValue; lists and maps are of no use to a counter."""
    if not isinstance(value, dict):
        return None
    for kind, wanted in (("stringValue", str), ("boolValue", bool), ("doubleValue", (int, float))):
        if kind in value:
            found = value[kind]
            return found if isinstance(found, wanted) else None
    if "intValue" in value:
        return _integer(value["intValue"])
    return None


def _integer(value: object) -> int | None:
    """Return a 64-bit integer, which JSON carries as text."""
    if isinstance(value, str) and len(value) <= 20 and value.isascii():
        digits = value.removeprefix("-")
        value = int(value) if digits.isdigit() else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) < 1 << 63 else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str):
        if len(value) > 32:
            return None
        try:
            value = int(value) if value.isdigit() else float(value)
        except ValueError:
            return None
    return value if 0 <= value <= _MOST and math.isfinite(value) else None


def _nanoseconds(owner: dict[str, Any], key: str) -> int:
    return _integer(owner.get(key)) or 0
