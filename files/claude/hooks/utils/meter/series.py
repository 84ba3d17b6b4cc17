"""The counters and histograms: in memory to add to, in the ledger's file to keep."""

from __future__ import annotations

import json
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from .contract import CONTRACT, REASONS
from .contract import OUTCOMES as TOOL_OUTCOMES

if TYPE_CHECKING:
    import sqlite3

    from .account import Add
    from .labels import Options

Key = tuple[str, str, str, tuple[str, ...]]


class Sample(NamedTuple):
    """One line of an exposition."""

    name: str
    labels: dict[str, str]
    value: float


class Family(NamedTuple):
    """One metric with its samples; `name` as in the contract, a counter's with ``_total``."""

    name: str
    type: str
    help: str
    samples: list[Sample]


class Series:
    """One counter (`value`) or histogram (`value` is the sum, `buckets` the counts, not cumulative)."""

    __slots__ = ("born", "buckets", "dirty", "id", "key", "labels", "value")

    def __init__(self, number: int, key: Key, *, value: int, buckets: list[int] | None, born: float) -> None:
        self.id = number
        self.key = key
        self.value = value
        self.buckets = buckets
        self.born = born
        self.dirty = False
        self.labels: dict[str, str] | None = None


_BOUNDS = {
    name: [round(bound * metric.scale) for bound in metric.buckets]
    for name, metric in CONTRACT.items()
    if metric.type == "histogram"
}
_STARTS = [(name, labels) for name, metric in CONTRACT.items() for labels in metric.starts]


class SeriesTable:
    """All series of one ledger, by (metric, user, project, labels)."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._all: dict[Key, Series] = {}
        self._dirty: list[Series] = []
        self._new: list[Series] = []
        self.pairs: set[tuple[str, str]] = set()
        self._tools: set[tuple[str, str, str]] = set()
        self._next = 1
        self.load()

    def load(self) -> None:
        """Read what is on disk, forgetting what is only in memory."""
        self._all.clear()
        self._dirty.clear()
        self._new.clear()
        self.pairs.clear()
        self._tools.clear()
        self._next = 1
        rows = self._db.execute("SELECT id, metric, user, project, labels, value, buckets, born FROM series")
        for number, metric, user, project, labels, value, buckets, born in rows:
            self._next = max(self._next, number + 1)
            if metric not in CONTRACT:
                continue
            key = (metric, user, project, tuple(json.loads(labels)))
            counts = json.loads(buckets) if metric in _BOUNDS else None
            self._all[key] = Series(number, key, value=int(value), buckets=counts, born=born)
            if CONTRACT[metric].scope == "project":
                self.pairs.add((user, project))

    def add(self, user: str, project: str, add: Add, *, now: float) -> None:
        """Add to one series; one that is not there yet begins at 0."""
        metric = add.metric
        series = self._all.get((metric, user, project, add.labels))
        if series is None:
            if (user, project) not in self.pairs and CONTRACT[metric].scope == "project":
                self.start(user, project, now=now)
            series = self._get((metric, user, project, add.labels), now=now)
        amount = add.amount
        if series.buckets is not None:
            series.buckets[bisect_left(_BOUNDS[metric], amount)] += 1
        series.value += amount
        if not series.dirty:
            series.dirty = True
            self._dirty.append(series)

    def start(self, user: str, project: str, *, now: float) -> None:
        """Let the closed sets of a user's project stand at 0."""
        self.pairs.add((user, project))
        for metric, labels in _STARTS:
            if CONTRACT[metric].scope == "project":
                self._get((metric, user, project, labels), now=now)

    def start_tool(self, user: str, project: str, tool: str, *, now: float) -> None:
        """Let the outcomes and blocks of a tool stand at 0 from when it is about to be used."""
        if (user, project, tool) in self._tools:
            return
        self._tools.add((user, project, tool))
        if (user, project) not in self.pairs:
            self.start(user, project, now=now)
        for outcome in TOOL_OUTCOMES:
            self._get(("claude_code_tool_usage_total", user, project, (tool, outcome)), now=now)
        for reason in REASONS:
            self._get(("claude_code_security_blocks_total", user, project, (reason, tool)), now=now)

    def _get(self, key: Key, *, now: float) -> Series:
        series = self._all.get(key)
        if series is None:
            bounds = _BOUNDS.get(key[0])
            buckets = None if bounds is None else [0] * (len(bounds) + 1)
            series = Series(self._next, key, value=0, buckets=buckets, born=now)
            self._next += 1
            self._all[key] = series
            self._new.append(series)
        return series

    def flush(self) -> None:
        """Write what changed, inside the caller's transaction."""
        if self._new:
            self._db.executemany(
                "INSERT INTO series VALUES (?, ?, ?, ?, ?, '0', '', ?)",
                [(s.id, *s.key[:3], json.dumps(s.key[3]), s.born) for s in self._new],
            )
            self._dirty.extend(s for s in self._new if not s.dirty)
            self._new.clear()
        if self._dirty:
            self._db.executemany(
                "UPDATE series SET value = ?, buckets = ? WHERE id = ?",
                [
                    (str(s.value), "" if s.buckets is None else json.dumps(s.buckets), s.id)
                    for s in self._dirty
                ],
            )
            for series in self._dirty:
                series.dirty = False
            self._dirty.clear()

    def total(self, metric: str) -> int:
        """Return the sum over all series of `metric`, in its scale."""
        return sum(series.value for key, series in self._all.items() if key[0] == metric)

    def labelled(self, options: Options, key: Key) -> dict[str, str]:
        """Return all labels of the series `key`; an empty user or project is no label at all."""
        metric, user, project, values = key
        labels = dict(options.constant_labels)
        if user:
            labels["user"] = user
        if project:
            labels["project"] = project
        labels.update(zip(CONTRACT[metric].labels, values))  # noqa: B905  # Python 3.9 knows no strict
        return labels

    def samples(self, options: Options, *, now: float) -> dict[str, list[Sample]]:
        """Return the samples of every counter and histogram, by metric; a series in its debut shows 0."""
        found: dict[str, list[Sample]] = {}
        for series in self._all.values():
            name = series.key[0]
            if series.labels is None:
                series.labels = self.labelled(options, series.key)
            debut = 0 <= now - series.born < options.debut and CONTRACT[name].scope == "project"
            found.setdefault(name, []).extend(_samples(series, series.labels, zero=debut))
        return found

    def __len__(self) -> int:
        return len(self._all)


def _samples(series: Series, labels: dict[str, str], *, zero: bool) -> list[Sample]:
    name = series.key[0]
    scale = CONTRACT[name].scale
    value = 0 if zero else series.value
    total = value / scale if scale > 1 else value
    if series.buckets is None:
        return [Sample(name, labels, total)]
    found = []
    running = 0
    for bound, count in zip((*CONTRACT[name].buckets, float("inf")), series.buckets):  # noqa: B905
        running += 0 if zero else count
        limit = "+Inf" if bound == float("inf") else repr(bound)
        found.append(Sample(f"{name}_bucket", {**labels, "le": limit}, running))
    found.append(Sample(f"{name}_sum", labels, total))
    found.append(Sample(f"{name}_count", labels, running))
    return found
