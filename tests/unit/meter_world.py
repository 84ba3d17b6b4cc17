"""What the meter's tests share: the recorded session, journal lines, OTLP bodies, and a ledger's totals."""

from __future__ import annotations

import hashlib
import json
import tempfile
from contextlib import contextmanager
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils import journal
from utils.meter.ledger import Ledger, Options
from utils.sizes import classes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from utils.meter.ledger import Outcome

DATA = Path(__file__).parent / "data"
SESSION = "2357881f-da70-4230-955d-2f51404ba029"
NOW = 1_795_333_937.0
NAME = "0123456789abcdef0123456789abcdef"
BLOCKED = {"rm -rf /": "rm_rf", "/home/dev/proj/.env": "env_file"}
_numbers = count()


def line(event: str, *, time: float = NOW, session: str = SESSION, **fields: object) -> bytes:
    """Return one journal line, with its newline."""
    record = {"t": time, "e": event, "s": session, "p": "proj", **fields}
    return json.dumps({key: value for key, value in record.items() if value is not None}).encode() + b"\n"


def captured_lines() -> list[bytes]:
    """Return the journal that the hooks write of the recorded session, header included."""
    lines = [json.dumps({"journal": NAME, "v": 1}).encode() + b"\n"]
    for number, text in enumerate((DATA / "capture-hooks.jsonl").read_text().splitlines()):
        hook_input: dict[str, Any] = json.loads(text)
        event = hook_input["hook_event_name"]
        record = journal.record(event, hook_input, {}, now=NOW + number / 10)
        if event.startswith("PostToolUse"):
            record.update(classes(hook_input))
        arguments = hook_input.get("tool_input", {})
        reason = BLOCKED.get(arguments.get("command") or arguments.get("file_path"))
        if reason and event == "PreToolUse":
            record["r"] = reason
        lines.append(json.dumps(record).encode() + b"\n")
    return lines


def captured(kind: str) -> Any:
    """Return the recorded OTLP export of ``metrics`` or ``logs``."""
    return json.loads((DATA / f"capture-{kind}.json").read_text())


def attributes(values: Mapping[str, object]) -> list[dict[str, Any]]:
    """Return OTLP attributes."""
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    return [{"key": key, "value": {kinds[type(value)]: value}} for key, value in values.items()]


def point(
    value: float, *, session: str = SESSION, start: int = 1, time: int | None = None, **values: object
) -> dict[str, Any]:
    """Return one data point; ``_`` in a name of `values` stays."""
    return {
        "attributes": attributes({"session.id": session, **values}),
        "startTimeUnixNano": str(start),
        "timeUnixNano": str(next(_numbers) if time is None else time),
        "asDouble": value,
    }


def metrics(name: str, points: Sequence[Mapping[str, Any]], *, temporality: int = 1) -> dict[str, Any]:
    """Return an OTLP export of one metric."""
    body = {"name": name, "sum": {"aggregationTemporality": temporality, "dataPoints": list(points)}}
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [body]}]}]}


def event(name: str, *, session: str = SESSION, time: int | None = None, **values: object) -> dict[str, Any]:
    """Return one log record."""
    return {
        "timeUnixNano": str(next(_numbers) if time is None else time),
        "body": {"stringValue": f"claude_code.{name}"},
        "attributes": attributes({"session.id": session, "event.name": name, **values}),
    }


def logs(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return an OTLP export of log records."""
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}


@contextmanager
def fresh_world(options: Options | None = None) -> Iterator[World]:
    """Open a world in memory where the host has some, for tests that need many."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as directory:
        world = World(Path(directory), options)
        try:
            yield world
        finally:
            world.ledger.close()


class World:
    """A ledger in a directory, and the short ways to feed and read it."""

    def __init__(self, directory: Path, options: Options | None = None) -> None:
        self.path = directory / "ledger.sqlite"
        self.options = options or Options()
        self.ledger = Ledger.open(self.path, options=self.options, now=NOW)

    def reopen(self) -> None:
        """Close the ledger and open it again, as a new process would."""
        self.ledger.close()
        self.ledger = Ledger.open(self.path, options=self.options, now=NOW)

    def write(
        self, *lines: bytes, owner: int = 1000, user: str = "dev", journal: str = NAME, now: float = NOW
    ) -> int:
        """Let the ledger consume `lines`, which stand where it has read up to."""
        at = self.ledger.offset(owner=owner, journal=journal)
        return self.ledger.journal(
            owner=owner, user=user, journal=journal, offset=at, chunk=b"".join(lines), now=now
        )

    def export(self, payload: Any, *, now: float = NOW) -> Outcome:
        """Let the ledger receive an OTLP body."""
        digest = hashlib.sha256(json.dumps(payload).encode()).digest()
        if "resourceLogs" in payload:
            return self.ledger.otlp_logs(payload, digest=digest, now=now)
        return self.ledger.otlp_metrics(payload, digest=digest, now=now)

    def series(self, *, now: float = NOW) -> dict[str, float]:
        """Return every sample that is not 0, by its name and labels."""
        return {
            f"{name}{{{','.join(f'{key}={text}' for key, text in labels.items())}}}": value
            for family in self.ledger.families(now=now)
            for name, labels, value in family.samples
            if value
        }

    def total(self, name: str, *, now: float = NOW, **labels: str) -> float:
        """Return the sum over the samples called `name` that have `labels`."""
        return sum(
            value
            for family in self.ledger.families(now=now)
            for sample, found, value in family.samples
            if sample == name and labels.items() <= found.items()
        )

    def names(self, *, now: float = NOW) -> set[str]:
        """Return the names and labels of every sample, 0 or not."""
        return {
            f"{name}{sorted(labels.items())}"
            for family in self.ledger.families(now=now)
            for name, labels, _ in family.samples
        }


def chunks(data: bytes, cuts: Iterable[int]) -> list[tuple[int, bytes]]:
    """Return `data` cut at `cuts`, each piece with its offset."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [(start, data[start:end]) for start, end in pairwise(edges)]
