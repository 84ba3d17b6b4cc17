"""The counters and histograms: in memory to add to, in the ledger's file to keep."""

from __future__ import annotations

import json
import sys
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from . import exposition
from .contract import CONTRACT, PROMPT
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
    """One counter (`value`) or histogram (`value` is the sum, `buckets` the counts, not cumulative).

    text: its lines of the exposition while it has not changed since they were rendered.
    """

    __slots__ = ("born", "buckets", "dirty", "id", "key", "text", "value")

    def __init__(self, number: int, key: Key, *, value: int, buckets: list[int] | None, born: float) -> None:
        self.id = number
        self.key = key
        self.value = value
        self.buckets = buckets
        self.born = born
        self.dirty = False
        self.text = b""


_BOUNDS = {
    name: [round(bound * metric.scale) for bound in metric.buckets]
    for name, metric in CONTRACT.items()
    if metric.type == "histogram"
}
_BLOCKS = ("env_file", "guard_error")
_SHELL_BLOCKS = dict.fromkeys(("Bash", "PowerShell", "mcp", "other"), ("rm_rf", *_BLOCKS))
_STARTS = [(name, labels) for name, metric in CONTRACT.items() for labels in metric.starts]


class SeriesTable:
    """All series of one ledger, by (metric, user, project, labels)."""

    def __init__(self, db: sqlite3.Connection, options: Options) -> None:
        self._db = db
        self._options = options
        self._all: dict[Key, Series] = {}
        self._by_metric: dict[str, list[Series]] = {}
        self._dirty: list[Series] = []
        self._new: list[Series] = []
        self.pairs: set[tuple[str, str]] = set()
        self._tools: set[tuple[str, str, str]] = set()
        self._next = 1
        self.load()

    def load(self) -> None:
        """Read what is on disk, forgetting what is only in memory."""
        self._all.clear()
        self._by_metric.clear()
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
            counts = json.loads(buckets) if metric in _BOUNDS else None
            values = tuple(map(sys.intern, json.loads(labels)))
            key = (CONTRACT[metric].name, sys.intern(user), sys.intern(project), values)
            self._keep(Series(number, key, value=int(value), buckets=counts, born=born))
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
        series.text = b""
        if not series.dirty:
            series.dirty = True
            self._dirty.append(series)

    def start(self, user: str, project: str, *, now: float) -> None:
        """Let the closed sets of a user's project stand at 0."""
        self.pairs.add((user, project))
        for metric, labels in _STARTS:
            if CONTRACT[metric].scope == "project":
                self._get((metric, user, project, labels), now=now)
        for reason in _BLOCKS:
            self._get(("claude_code_security_blocks_total", user, project, (reason, PROMPT)), now=now)

    def start_tool(self, user: str, project: str, tool: str, *, now: float) -> None:
        """Let the outcomes and blocks of a tool stand at 0 from when it is about to be used."""
        if (user, project, tool) in self._tools:
            return
        self._tools.add((user, project, tool))
        if (user, project) not in self.pairs:
            self.start(user, project, now=now)
        for outcome in TOOL_OUTCOMES:
            self._get(("claude_code_tool_usage_total", user, project, (tool, outcome)), now=now)
        for reason in _SHELL_BLOCKS.get(tool, _BLOCKS):
            self._get(("claude_code_security_blocks_total", user, project, (reason, tool)), now=now)

    def _get(self, key: Key, *, now: float) -> Series:
        series = self._all.get(key)
        if series is None:
            bounds = _BOUNDS.get(key[0])
            buckets = None if bounds is None else [0] * (len(bounds) + 1)
            series = Series(self._next, key, value=0, buckets=buckets, born=now)
            self._next += 1
            self._keep(series)
            self._new.append(series)
        return series

    def _keep(self, series: Series) -> None:
        self._all[series.key] = series
        self._by_metric.setdefault(series.key[0], []).append(series)

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
        return sum(series.value for series in self._by_metric.get(metric, ()))

    def labelled(self, key: Key) -> dict[str, str]:
        """Return all labels of the series `key`; an empty user or project is no label at all."""
        metric, user, project, values = key
        labels = dict(self._options.constant_labels)
        if user:
            labels["user"] = user
        if project:
            labels["project"] = project
        labels.update(zip(CONTRACT[metric].labels, values))  # noqa: B905  # Python 3.9 knows no strict
        return labels

    def samples(self, *, now: float) -> dict[str, list[Sample]]:
        """Return the samples of every counter and histogram, by metric; a series in its debut shows 0."""
        return {
            name: [
                sample
                for series in all_of
                for sample in _samples(series, self.labelled(series.key), zero=self._debuts(series, now=now))
            ]
            for name, all_of in self._by_metric.items()
        }

    def rendered(self, *, now: float) -> dict[str, list[bytes]]:
        """Return the lines of every counter and histogram, by metric: what `samples` says, in UTF-8.

        Only what changed since the last call is rendered anew.
        """
        debut = self._options.debut > 0
        found = {}
        for name, all_of in self._by_metric.items():
            parts: list[bytes] = []
            found[name] = parts
            for series in all_of:
                if debut and self._debuts(series, now=now):
                    parts.append(self._lines(series, zero=True))
                    continue
                if not series.text:
                    series.text = self._lines(series, zero=False)
                parts.append(series.text)
        return found

    def _lines(self, series: Series, *, zero: bool) -> bytes:
        return exposition.lines(_samples(series, self.labelled(series.key), zero=zero)).encode()

    def _debuts(self, series: Series, *, now: float) -> bool:
        young = 0 <= now - series.born < self._options.debut
        return young and CONTRACT[series.key[0]].scope == "project"

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
