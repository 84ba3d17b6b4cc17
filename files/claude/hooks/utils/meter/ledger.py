"""The ledger: every input is counted once, whatever happens to the processes.

Counters, journal offsets, sessions and what waits for a partner change in one transaction, or not at all.
Memory is a copy of the file: when a transaction fails, it is read anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
import threading
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from . import account, contract, exposition, gauges, otlp, partners, relabel
from .account import Add
from .contract import CANARY, CONTRACT, OTHER, UNKNOWN
from .labels import Options
from .live import LiveSessions
from .record import MAX_LINE, Malformed, identifier_of, parse, session_of
from .series import Family, Sample, SeriesTable
from .store import LedgerBusy, LedgerError, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import TypeVar

    from .live import Session
    from .otlp import Event, Point
    from .record import Record

    T = TypeVar("T")

__all__ = ["Family", "Ledger", "LedgerBusy", "LedgerError", "Malformed", "Options", "Outcome", "Sample"]

MODELS = 20
_STEP_BACK = 60.0  # seconds; a clock that goes back by more was set
_FORGET_EVERY = 60.0
_REASON = re.compile(r"[a-z][a-z_]{0,31}\Z")
_CAPS = {"model": MODELS, "reason": 40}


class Outcome(NamedTuple):
    """What became of one OTLP body: items counted, items refused by reason, and whether it came before."""

    accepted: int
    rejected: dict[str, int]
    duplicate: bool = False


class Ledger:
    """One host's ledger; its methods may be called from any thread.

    `damage` is one sentence if a damaged file was set aside on opening, else empty. All times are seconds
    since the epoch. Every method that counts raises `LedgerError`, and then has counted nothing.
    """

    def __init__(self, store: Store, options: Options, *, now: float) -> None:
        with store.transaction() as db:
            relabel.follow(db, options)
        self._store = store
        self._options = options
        self._mutex = threading.RLock()
        self._series = SeriesTable(store.db, options)
        self._live = LiveSessions(store.db)
        self._names: dict[str, set[str]] = {}
        self._projects: dict[str, str] = {}
        self._users: dict[str, str] = {}
        self._boot = ""
        self._ticked = 0.0
        self._forgot = 0.0
        self._load_names()
        self.damage = store.damage
        with self._write():
            self._start(now=now)

    @classmethod
    def open(cls, path: Path, *, options: Options, now: float) -> Ledger:
        """Open or create the ledger at `path`, in a directory that exists.

        Raises `LedgerBusy` if another process has it, `LedgerError` if it cannot be read or written.
        """
        store = Store(path)
        try:
            try:
                return cls(store, options, now=now)
            except (ValueError, TypeError) as error:  # a sound file with nonsense in it
                store.replace(error)
                return cls(store, options, now=now)
        except BaseException:
            store.close()
            raise

    def offset(self, *, owner: int, journal: str) -> int:
        """Return up to which byte the journal called `journal` of the user `owner` is consumed."""
        with self._mutex:
            return self._position(owner, journal)[0]

    def journal(self, *, owner: int, user: str, journal: str, offset: int, chunk: bytes, now: float) -> int:
        """Consume the complete lines of `chunk`, which begins at byte `offset` of the journal.

        owner: the uid that owns the file; user: its name. What was consumed before is skipped; a chunk from
        beyond the known offset is left alone. Returns the new offset, to read on from.
        """
        with self._mutex:
            at, skipping = self._position(owner, journal)
            data = chunk[at - offset :] if offset <= at else b""
            end = data.rfind(b"\n") + 1
            if not end and len(data) <= MAX_LINE:
                return at
            with self._write() as db:
                rejected: Counter[str] = Counter()
                if end:
                    lines = data[: end - 1].split(b"\n")
                    for line in lines[1:] if skipping else lines:
                        self._line(line, owner=owner, user=user, rejected=rejected, now=now)
                    skipping = False
                if len(data) - end > MAX_LINE:
                    rejected["line_too_long"] += not skipping
                    skipping, end = True, len(data)
                self._rejected(rejected, now=now)
                at += end
                db.execute("REPLACE INTO journals VALUES (?, ?, ?, ?)", (owner, journal, at, skipping))
                self._live.flush()
                for session in self._live.surplus():
                    self._credit(session, session.cut(), now=now)
                    self._live.touch(session)
                    self._live.drop(session)
            return at

    def otlp_metrics(self, payload: object, *, digest: bytes, now: float) -> Outcome:
        """Count an OTLP export of metrics. digest: of the body's bytes; the same body counts once.

        Raises `Malformed` if `payload` is no OTLP; that is counted as rejected.
        """
        points, rejected = self._decoded(otlp.metrics, payload)
        with self._mutex, self._write() as db:
            if partners.known(db, b"m" + digest, now=now):
                return Outcome(0, {}, duplicate=True)
            counts = Counter(rejected)
            for point in points:
                try:
                    self._point(db, point, now=now)
                except Malformed as error:
                    counts[error.reason] += 1
            self._rejected(counts, now=now)
            return Outcome(len(points) - sum(counts.values()) + sum(rejected.values()), dict(counts))

    def otlp_logs(self, payload: object, *, digest: bytes, now: float) -> Outcome:
        """Count an OTLP export of logs; as `otlp_metrics`. Events that carry no number are accepted, too."""
        events, rejected = self._decoded(otlp.logs, payload)
        with self._mutex, self._write() as db:
            if partners.known(db, b"l" + digest, now=now):
                return Outcome(0, {}, duplicate=True)
            counts = Counter(rejected)
            for event in events:
                try:
                    self._event(db, event, now=now)
                except Malformed as error:
                    counts[error.reason] += 1
            self._rejected(counts, now=now)
            return Outcome(len(events) - sum(counts.values()) + sum(rejected.values()), dict(counts))

    def tick(self, *, now: float, boot_id: str) -> None:
        """Let time pass; call it every few seconds, after the journals were read."""
        with self._mutex, self._write() as db:
            self._boot = boot_id
            if not self._ticked or now < self._ticked - _STEP_BACK:
                partners.follow(db, now=now)
            lingering = now - self._options.session_linger
            for session in list(self._live.all.values()):
                if session.heard > now + _STEP_BACK:
                    session.heard = now
                    self._live.touch(session)
                before = session.span
                if session.boot and session.boot != boot_id:
                    adds = session.cut()
                else:
                    adds = session.expire(now=now, timeout=self._options.session_timeout)
                moved = session.open and session.boot != boot_id
                session.boot = boot_id
                if moved or session.span is not before:
                    if not session.open:
                        session.heard = now
                    self._credit(session, adds, now=now)
                    self._live.touch(session)
            self._live.flush()
            for session in [s for s in self._live.all.values() if not s.open and s.heard <= lingering]:
                self._live.drop(session)
            for identifier, adds in partners.settle(db, now=now):
                self._join(db, identifier, adds, now=now)
            for add in partners.abandoned(db, before=now - self._options.partner_wait):
                self._add(UNKNOWN, UNKNOWN, add, now=now)
            if not 0 <= now - self._forgot < _FORGET_EVERY:
                partners.forget(db, now=now)
                self._live.forget(now=now)
                self._forgot = now
            self._ticked = now

    def reject(self, reason: str, count: int = 1, *, now: float = 0.0) -> None:
        """Count input that was refused before it came here; `reason` is one lower-case word."""
        with self._mutex, self._write():
            self._rejected({reason: count}, now=now)

    def families(self, *, now: float) -> list[Family]:
        """Return every metric that the ledger knows, in the order of the contract, as it stands now."""
        with self._mutex:
            samples = self._series.samples(now=now)
            samples.update(self._gauges(now=now))
            return [
                Family(metric.name, metric.type, metric.help, samples[metric.name])
                for metric in CONTRACT.values()
                if metric.source != contract.EXPORTER and metric.name in samples
            ]

    def exposition(self, *, now: float, openmetrics: bool = False) -> bytes:
        """Return `families` in UTF-8; an exposition in OpenMetrics lacks its end, so that more can follow."""
        return b"".join(self.pieces(now=now, openmetrics=openmetrics))

    def pieces(self, *, now: float, openmetrics: bool = False) -> list[bytes]:
        """Return `exposition` in pieces that the ledger holds anyway, so that a large one is in memory once.

        Only what changed since the last call is rendered anew.
        """
        with self._mutex:
            bodies = self._series.rendered(now=now)
            for name, samples in self._gauges(now=now).items():
                bodies[name] = [exposition.lines(samples).encode()] if samples else []
            pieces: list[bytes] = []
            for metric in CONTRACT.values():
                if bodies.get(metric.name):
                    head = exposition.head(metric.name, metric.type, metric.help, openmetrics=openmetrics)
                    pieces.append(head.encode())
                    pieces.extend(bodies[metric.name])
            return pieces

    def _gauges(self, *, now: float) -> dict[str, list[Sample]]:
        lingering = now - self._options.session_linger
        live = [s for s in self._live.all.values() if s.open or s.heard > lingering]
        rows = self._store.db.execute("SELECT key, value FROM meta WHERE key IN ('canary', 'canary_latency')")
        return gauges.standing(self._series, live, canary={key: int(value) for key, value in rows})

    def size(self) -> int:
        """Return the ledger's bytes on disk."""
        return self._store.size()

    def close(self) -> None:
        """Close the file and let the next one have it."""
        with self._mutex:
            self._store.close()

    def _line(self, line: bytes, *, owner: int, user: str, rejected: Counter[str], now: float) -> None:
        if not line:
            return
        try:
            record = parse(line)
        except Malformed as error:
            rejected[error.reason] += 1
            return
        if record is None:
            return
        if record.event == CANARY:
            self._add("", "", Add("claude_code_canary_events_total", (), 1), now=now)
            # A writer whose clock is ahead of ours did not travel in time.
            times = {"canary": record.time, "canary_latency": max(0.0, now - record.time)}
            rows = [(key, str(round(seconds * contract.MICRO))) for key, seconds in times.items()]
            self._store.db.executemany("REPLACE INTO meta VALUES (?, ?)", rows)
            return
        self._record(record, owner=owner, user=user, now=now)

    def _record(self, record: Record, *, owner: int, user: str, now: float) -> None:
        session = self._live.find(record.session)
        if session is None or session.owner != owner:
            name, project = self._user(user), self._project(record.project)
            if session is None and record.session:
                session = self._live.new(record.session, owner=owner, user=name, project=project)
                self._credit(session, partners.arrived(self._store.db, session.id), now=now)
            else:
                session = None
        else:
            name, project = session.user, session.project
        if record.event == "PreToolUse":
            self._series.start_tool(name, project, contract.fold_tool(record.tool), now=now)
        for add in account.of_record(record):
            self._series.add(name, project, add, now=now)
        if session is not None:
            timeout = self._options.session_timeout
            for add in session.hear(record, boot=self._boot, timeout=timeout, now=now):
                self._series.add(name, project, add, now=now)
            self._live.touch(session)
        elif record.event in ("PostToolUse", "PostToolUseFailure"):
            for add in account.of_outcome(record):
                self._series.add(name, project, add, now=now)

    def _point(self, db: sqlite3.Connection, point: Point, *, now: float) -> None:
        add = account.of_point(point)
        session = session_of(point.attributes.get("session.id"))
        increase = partners.increase(db, point, amount=add.amount, session=session, now=now)
        self._join(db, session, [add._replace(amount=increase)], now=now)

    def _event(self, db: sqlite3.Connection, event: Event, *, now: float) -> None:
        session = session_of(event.attributes.get("session.id"))
        adds = account.of_event(event)
        request = identifier_of(event.attributes.get("request_id"))
        order = event.time + int(otlp.number(event.attributes.get("event.sequence")) or 0) % 10**6
        if event.name == "api_request":
            if request:
                call = partners.Call(session, request, _conversation(event), _can_call(event), order)
                if not partners.requested(db, call, cost=account.cost(event), now=now):
                    return
            else:
                adds.append(Add("claude_code_tool_cost_usd_total", (UNKNOWN,), account.cost(event)))
        elif event.name in ("tool_decision", "tool_result"):
            use = identifier_of(event.attributes.get("tool_use_id"))
            tool = contract.fold_tool(event.attributes.get("tool_name"))
            if event.attributes.get("tool_source") == "mcp":
                tool = "mcp"
            if request or use:
                call = partners.Call(session, request, time=order)
                partners.called(db, call, use=use or tool, tool=tool, now=now)
        if adds:
            self._join(db, session, adds, now=now)

    def _join(self, db: sqlite3.Connection, identifier: str, adds: list[Add], *, now: float) -> None:
        """Count `adds` for the session's user and project, or let them wait until those are known."""
        session = self._live.find(identifier)
        if session is not None:
            self._credit(session, adds, now=now)
        elif identifier:
            partners.wait(db, identifier, adds, now=now)
        else:
            for add in adds:
                self._add(UNKNOWN, UNKNOWN, add, now=now)

    def _credit(self, session: Session, adds: Iterable[Add], *, now: float) -> None:
        for add in adds:
            counted = self._add(session.user, session.project, add, now=now)
            session.gauge(counted)
            self._live.touch(session)

    def _add(self, user: str, project: str, add: Add, *, now: float) -> Add:
        if add.labels and CONTRACT[add.metric].labels[0] == "model":
            model = self._capped("model", add.labels[0])
            if model != add.labels[0]:
                add = add._replace(labels=(model, *add.labels[1:]))
        self._series.add(user, project, add, now=now)
        return add

    def _rejected(self, counts: dict[str, int], *, now: float) -> None:
        for reason, count in counts.items():
            if count > 0:
                label = self._capped("reason", reason if _REASON.match(reason) else OTHER)
                self._add("", "", Add("claude_code_exporter_rejected_total", (label,), count), now=now)

    def _user(self, name: str) -> str:
        label = self._users.get(name)
        if label is None:
            label = self._users[name] = self._options.user(name)
        return label

    def _project(self, name: str) -> str:
        label = self._projects.get(name)
        if label is None:
            label = self._capped("project", self._options.project(name))
            if len(self._projects) >= 1000:
                self._projects.clear()
            self._projects[name] = label
        return label

    def _capped(self, kind: str, name: str) -> str:
        """Return `name`, or ``other`` if there are too many of its kind already."""
        names = self._names.setdefault(kind, set())
        if name in names or name in (OTHER, UNKNOWN, ""):
            return name
        if len(names) >= _CAPS.get(kind, self._options.max_projects):
            return OTHER
        names.add(name)
        self._store.db.execute("INSERT INTO names VALUES (?, ?)", (kind, name))
        return name

    def _load_names(self) -> None:
        self._names.clear()
        self._projects.clear()
        for kind, name in self._store.db.execute("SELECT kind, name FROM names"):
            self._names.setdefault(kind, set()).add(name)

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._store.transaction() as db:
                yield db
                self._series.flush()
                self._live.flush()
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # what cannot be read cannot be written either
                self._series.load()
                self._live.load()
                self._load_names()
            raise

    def _start(self, *, now: float) -> None:
        for metric in CONTRACT.values():
            if metric.scope == "host" and metric.type == "counter":
                for labels in metric.starts:
                    self._series.add("", "", Add(metric.name, labels, 0), now=now)

    def _decoded(self, decode: Callable[[object], T], payload: object) -> T:
        try:
            return decode(payload)
        except Malformed as error:
            self.reject(error.reason)
            raise

    def _position(self, owner: int, journal: str) -> tuple[int, bool]:
        row = self._store.db.execute(
            "SELECT offset, skipping FROM journals WHERE owner = ? AND journal = ?", (owner, journal)
        ).fetchone()
        return (int(row[0]), bool(row[1])) if row else (0, False)


def _conversation(event: Event) -> str:
    """Return what tells parallel conversations of one session apart; agents have names, so hashed."""
    names = [str(event.attributes.get(key, "")) for key in ("query_source", "agent_id")]
    return hashlib.sha256("/".join(names).encode("utf-8", "replace")).hexdigest()[:16]


def _can_call(event: Event) -> bool:
    """Return whether the asker can call tools: the main conversation and agents, not titles and summaries."""
    source = str(event.attributes.get("query_source", "sdk"))
    return source.startswith(("sdk", "repl_main_thread")) or "agent" in source
