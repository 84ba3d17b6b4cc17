"""The sessions that are open or have just ended, in memory and in the ledger's file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from . import contract, sessions
from .account import Add, of_outcome, of_session

if TYPE_CHECKING:
    import sqlite3

    from .record import Record
    from .sessions import Span

LIVE = 2_000
"""Sessions held in memory; beyond it those heard of longest ago are closed."""
REMEMBERED = 50_000
REMEMBERED_DAYS = 7
_USES = 64
_ASKS = 16
_LONGEST_WAIT = 86_400.0
_TURN_ENDS = frozenset({"Stop", "StopFailure", "UserPromptSubmit", "SessionEnd"})
_FINISHED = frozenset({"PostToolUse", "PostToolUseFailure"})


class Session:
    """One session; user and project are labels already, so nothing here names what labels must not.

    heard: the ledger's clock at the latest input. uses: tool calls whose outcome is counted. asks: since when
    a person is asked for permission, by tool call. gauges: cost and tokens, by metric and labels.
    """

    __slots__ = ("asks", "boot", "dirty", "gauges", "heard", "id", "owner", "project", "span", "user", "uses")

    def __init__(self, identifier: str, *, owner: int, user: str, project: str) -> None:
        self.id = identifier
        self.owner = owner
        self.user = user
        self.project = project
        self.span: Span | None = None
        self.boot = ""
        self.heard = 0.0
        self.uses: list[str] = []
        self.asks: dict[str, tuple[float, str]] = {}
        self.gauges: dict[tuple[str, tuple[str, ...]], int] = {}
        self.dirty = False

    @property
    def open(self) -> bool:
        """Whether the session is going on."""
        return self.span is not None and self.span.open

    def hear(self, record: Record, *, boot: str, timeout: float, now: float) -> list[Add]:
        """Return what `record` adds because of what this session did before."""
        self.heard = now
        self.boot = boot
        self.span, lasted = sessions.advance(
            self.span, event=record.event, detail=record.detail, time=record.time, timeout=timeout
        )
        adds = [] if lasted is None else [_duration(lasted)]
        event = record.event
        if event in _FINISHED:
            if not record.use or record.use not in self.uses:
                adds.extend(of_outcome(record))
                if record.use:
                    self.uses = [*self.uses[-_USES + 1 :], record.use]
            if self.asks:
                adds.extend(self._answer(record, record.time - (record.duration or 0.0) / 1000))
        elif event == "PermissionRequest":
            tool = contract.fold_tool(record.tool)
            key = record.use or tool
            if key not in self.asks and len(self.asks) < _ASKS:
                self.asks[key] = (record.time, tool)
        elif event == "PermissionDenied":
            adds.extend(self._answer(record, record.time))
        elif self.asks and event in _TURN_ENDS:
            for since, tool in self.asks.values():
                adds.append(_wait(tool, record.time - since))
            self.asks.clear()
        return adds

    def _answer(self, record: Record, time: float) -> list[Add]:
        for key in (record.use, contract.fold_tool(record.tool)):
            asked = self.asks.pop(key, None)
            if asked is not None:
                return [_wait(asked[1], time - asked[0])]
        return []

    def gauge(self, add: Add) -> None:
        """Let `add` show in the session's own gauges."""
        mine = of_session(add)
        if mine is not None:
            key = (mine.metric, mine.labels)
            self.gauges[key] = self.gauges.get(key, 0) + mine.amount

    def expire(self, *, now: float, timeout: float) -> list[Add]:
        """Return what the passing of time adds."""
        if self.span is None:
            return []
        return self._closed(*sessions.expire(self.span, now=now, timeout=timeout))

    def cut(self) -> list[Add]:
        """Return what closing it where it was last heard of adds."""
        return [] if self.span is None else self._closed(*sessions.cut(self.span))

    def _closed(self, span: Span, lasted: float | None) -> list[Add]:
        self.span = span
        return [] if lasted is None else [_duration(lasted)]

    def row(self) -> tuple[object, ...]:
        """Return the session as a row of the ledger's file."""
        gauges = [[metric, labels, value] for (metric, labels), value in self.gauges.items()]
        state = json.dumps([self.span, self.boot, self.uses, self.asks, gauges])
        return (self.id, self.owner, self.user, self.project, int(self.open), self.heard, state)


def of_row(row: tuple[str, int, str, str, int, float, str]) -> Session:
    """Return the session in a row of the ledger's file."""
    session = Session(row[0], owner=row[1], user=row[2], project=row[3])
    session.heard = row[5]
    span, session.boot, session.uses, asks, gauges = json.loads(row[6])
    session.span = sessions.Span(*span) if span else None
    session.asks = {key: (since, tool) for key, (since, tool) in asks.items()}
    session.gauges = {(metric, tuple(labels)): value for metric, labels, value in gauges}
    return session


def _duration(seconds: float) -> Add:
    return Add("claude_code_session_duration_seconds", (), round(seconds * contract.MICRO))


def _wait(tool: str, seconds: float) -> Add:
    bounded = min(max(seconds, 0.0), _LONGEST_WAIT)
    return Add("claude_code_permission_wait_seconds", (tool,), round(bounded * contract.MICRO))


class LiveSessions:
    """The sessions in memory, loaded from and written to the ledger's file."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.all: dict[str, Session] = {}
        self._dirty: list[Session] = []
        self.load()

    def load(self) -> None:
        """Read what is on disk, forgetting what is only in memory."""
        self.all.clear()
        self._dirty.clear()
        for row in self._db.execute("SELECT * FROM sessions WHERE live = 1"):
            self.all[row[0]] = of_row(row)
        for row in self._db.execute(
            "SELECT * FROM sessions WHERE live = 0 ORDER BY heard DESC LIMIT ?", (LIVE // 2,)
        ):
            self.all.setdefault(row[0], of_row(row))

    def find(self, identifier: str) -> Session | None:
        """Return the session called `identifier`, if it was ever heard of and is not forgotten."""
        session = self.all.get(identifier)
        if session is None and identifier:
            row = self._db.execute("SELECT * FROM sessions WHERE id = ?", (identifier,)).fetchone()
            if row is not None:
                session = self.all[identifier] = of_row(row)
        return session

    def new(self, identifier: str, *, owner: int, user: str, project: str) -> Session:
        """Return a session that was never heard of."""
        session = self.all[identifier] = Session(identifier, owner=owner, user=user, project=project)
        return session

    def touch(self, session: Session) -> None:
        """Have `session` written with the transaction."""
        if not session.dirty:
            session.dirty = True
            self._dirty.append(session)

    def surplus(self) -> list[Session]:
        """Return the sessions that are too many to hold, those heard of longest ago."""
        extra = len(self.all) - LIVE
        return sorted(self.all.values(), key=lambda session: session.heard)[:extra] if extra > 0 else []

    def drop(self, session: Session) -> None:
        """Hold `session` no longer in memory; it stays remembered."""
        del self.all[session.id]

    def flush(self) -> None:
        """Write what changed, inside the caller's transaction."""
        if self._dirty:
            self._db.executemany(
                "REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)", [s.row() for s in self._dirty]
            )
            for session in self._dirty:
                session.dirty = False
            self._dirty.clear()

    def forget(self, *, now: float) -> None:
        """Forget whose the sessions of long ago were."""
        self._db.execute(
            "DELETE FROM sessions WHERE live = 0 AND (heard < ? OR rowid IN "
            "(SELECT rowid FROM sessions WHERE live = 0 ORDER BY heard DESC LIMIT -1 OFFSET ?))",
            (now - REMEMBERED_DAYS * 86400, REMEMBERED),
        )
