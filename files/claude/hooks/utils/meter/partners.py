"""What must be remembered across inputs: bodies already counted, cumulative streams, and halves of a join.

All of it stands in the ledger's file and is bounded: by age in the caller's `now`, and by number. Functions
take the connection of an open transaction.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

from .account import Add, shares
from .otlp import CUMULATIVE
from .record import Malformed

if TYPE_CHECKING:
    import sqlite3

    from .otlp import Point

DIGEST_HOURS = 6  # a client retries for minutes
DIGESTS = 100_000
STREAM_DAYS = 30  # a process that reports totals may live long, and a laptop may sleep
STREAMS = 20_000
WAITING = 10_000
REQUESTS = 20_000
QUIET = 15.0  # seconds; three of the client's export intervals
REQUEST_AGE = 1800.0  # seconds a request may wait for a tool that a person has yet to allow
SETTLED_HOURS = 6
CALLS = 256  # tools of one request


def known(db: sqlite3.Connection, digest: bytes, *, now: float) -> bool:
    """Return whether a body with `digest` was counted before, and remember it."""
    added = db.execute("INSERT OR IGNORE INTO digests VALUES (?, ?)", (digest, now)).rowcount
    return added == 0


def increase(db: sqlite3.Connection, point: Point, *, amount: int, session: str, now: float) -> int:
    """Return by how much a cumulative `point` of total `amount` exceeds what was seen of its stream.

    A stream is one process's series: session, metric, all attributes, and the start time. So a resumed
    session begins a stream of its own, and the order of points does not matter. Raises `Malformed`:
    ``no_session`` or ``no_start`` where the totals of two processes could not be told apart, ``forgotten``
    where the stream may have been counted so long ago that nobody remembers.
    """
    if point.temporality != CUMULATIVE:
        return amount
    if not session:
        raise Malformed("no_session")
    if not point.start:
        raise Malformed("no_start")
    identity = json.dumps([session, point.name, point.start, sorted(point.attributes.items())])
    stream = hashlib.sha256(identity.encode()).digest()[:16]
    row = db.execute("SELECT value FROM streams WHERE stream = ?", (stream,)).fetchone()
    if row is None:
        if point.start <= _horizon(db):
            raise Malformed("forgotten")
        db.execute("INSERT INTO streams VALUES (?, ?, ?)", (stream, amount, now))
        return amount
    db.execute("UPDATE streams SET value = MAX(value, ?), heard = ? WHERE stream = ?", (amount, now, stream))
    return max(0, amount - int(row[0]))


def _horizon(db: sqlite3.Connection) -> int:
    """Return the start time (ns) up to which a stream may have been forgotten."""
    row = db.execute("SELECT value FROM meta WHERE key = 'streams_forgotten_ns'").fetchone()
    return int(row[0]) if row else 0


def wait(db: sqlite3.Connection, session: str, adds: list[Add], *, now: float) -> None:
    """Keep `adds` until the hooks say whose `session` is."""
    db.execute(
        "INSERT INTO waiting (session, heard, adds) VALUES (?, ?, ?)", (session, now, json.dumps(adds))
    )


def arrived(db: sqlite3.Connection, session: str) -> list[Add]:
    """Return, and wait no longer with, what waits for `session`."""
    rows = db.execute("SELECT adds FROM waiting WHERE session = ? ORDER BY number", (session,)).fetchall()
    if rows:
        db.execute("DELETE FROM waiting WHERE session = ?", (session,))
    return [add for row in rows for add in _adds(row[0])]


def abandoned(db: sqlite3.Connection, *, before: float) -> list[Add]:
    """Return, and wait no longer with, what has waited since `before`, and the oldest of too many."""
    top = db.execute("SELECT MAX(number) FROM waiting").fetchone()[0]
    if top is None:
        return []
    which = "heard <= ? OR number <= ?"
    limits = (before, top - WAITING)
    rows = db.execute(f"SELECT adds FROM waiting WHERE {which}", limits).fetchall()  # noqa: S608
    db.execute(f"DELETE FROM waiting WHERE {which}", limits)  # noqa: S608
    return [add for row in rows for add in _adds(row[0])]


def _adds(text: str) -> list[Add]:
    return [Add(metric, tuple(labels), amount) for metric, labels, amount in json.loads(text)]


class Call(NamedTuple):
    """What names a request and where in its conversation it stands.

    calls: whether what asked can call tools. time: nanoseconds, in one process in the order of its events.
    """

    session: str
    request: str
    conversation: str = ""
    calls: bool = True
    time: int = 0


def requested(db: sqlite3.Connection, call: Call, *, cost: int, now: float) -> bool:
    """Note what the request `call` cost, in nano-dollars; return False if that was known before."""
    row = db.execute(
        "SELECT cost FROM requests WHERE session = ? AND request = ?", (call.session, call.request)
    ).fetchone()
    if row is not None and row[0] is not None:
        return False
    db.execute(
        "INSERT INTO requests (session, request, conversation, calls, time, cost, tools, heard) "
        "VALUES (?, ?, ?, ?, ?, ?, '{}', ?) ON CONFLICT (session, request) DO UPDATE SET "
        "cost = excluded.cost, conversation = excluded.conversation, calls = excluded.calls, "
        "time = excluded.time, heard = excluded.heard",
        (call.session, call.request, call.conversation, call.calls, call.time, cost, now),
    )
    return True


def called(db: sqlite3.Connection, call: Call, *, use: str, tool: str, now: float) -> None:
    """Note that the request `call` called `tool`, once for each `use`.

    Clients before 2.1.330 do not say which request called: then it is the one before, if that can call.
    """
    if not call.request:
        db.execute(
            "INSERT INTO loose VALUES (?, ?, ?, ?, ?) ON CONFLICT (session, use) DO UPDATE SET "
            "time = MIN(time, excluded.time)",
            (call.session, use, tool, call.time, now),
        )
        return
    row = db.execute(
        "SELECT tools FROM requests WHERE session = ? AND request = ?", (call.session, call.request)
    ).fetchone()
    tools = json.loads(row[0]) if row else {}
    if use in tools or len(tools) >= CALLS:
        return
    tools[use] = tool
    db.execute(
        "INSERT INTO requests (session, request, conversation, calls, time, cost, tools, heard) "
        "VALUES (?, ?, '', 1, 0, NULL, ?, ?) "
        "ON CONFLICT (session, request) DO UPDATE SET tools = excluded.tools, heard = excluded.heard",
        (call.session, call.request, json.dumps(tools), now),
    )


Settled = tuple[str, list[Add]]


def settle(db: sqlite3.Connection, *, now: float) -> list[Settled]:
    """Return what the tools of finished requests cost, by session.

    A request is finished when its conversation went on or its session ended and nothing was heard of any of
    them for `QUIET` seconds, or when it is old; the client asks anew only after all tools of an answer ran.
    """
    top = db.execute("SELECT MAX(rowid) FROM requests").fetchone()[0]
    if top is None:
        return []
    quiet = now - QUIET
    rows = db.execute(
        "SELECT r.session, request, cost, tools, calls, time FROM requests r "
        "LEFT JOIN sessions s ON s.id = r.session "
        "WHERE settled = 0 AND (r.rowid <= ? OR r.heard <= ? OR r.heard <= ? AND ("
        "s.live = 0 AND s.heard <= ? OR EXISTS (SELECT 1 FROM requests n WHERE n.session = r.session "
        "AND n.conversation = r.conversation AND n.time > r.time AND n.cost IS NOT NULL AND n.heard <= ?)))",
        (top - REQUESTS, now - REQUEST_AGE, quiet, quiet, quiet),
    ).fetchall()
    settled: list[Settled] = []
    for session, request, cost, tools, calls, time in rows:
        db.execute(
            "UPDATE requests SET settled = 1, tools = '{}' WHERE session = ? AND request = ?",
            (session, request),
        )
        if cost is not None:
            names = list(json.loads(tools).values()) or (_loose(db, session, time) if calls else [])
            adds = [
                Add("claude_code_tool_cost_usd_total", (tool,), part) for tool, part in shares(cost, names)
            ]
            settled.append((session, adds))
    return settled


def _loose(db: sqlite3.Connection, session: str, time: int) -> list[str]:
    """Return the tools called after the request at `time` and before the next one that can call."""
    rows = db.execute(
        "SELECT tool FROM loose WHERE session = ? AND time > ? AND time <= COALESCE((SELECT MIN(time) "
        "FROM requests WHERE session = ? AND time > ? AND calls AND cost IS NOT NULL), time) LIMIT ?",
        (session, time, session, time, CALLS),
    ).fetchall()
    return [row[0] for row in rows]


def follow(db: sqlite3.Connection, *, now: float) -> None:
    """Follow a clock that was set back: nothing was heard of in the future."""
    for table in ("digests", "streams", "waiting", "requests", "loose"):
        db.execute(f"UPDATE {table} SET heard = ? WHERE heard > ?", (now, now))  # noqa: S608


def forget(db: sqlite3.Connection, *, now: float) -> None:
    """Forget what is too old or too many."""
    db.execute(
        "DELETE FROM digests WHERE heard < ? OR rowid <= (SELECT MAX(rowid) FROM digests) - ?",
        (now - DIGEST_HOURS * 3600, DIGESTS),
    )
    db.execute(
        "DELETE FROM requests WHERE settled = 1 AND "
        "(heard < ? OR rowid <= (SELECT MAX(rowid) FROM requests) - ?)",
        (now - SETTLED_HOURS * 3600, 2 * REQUESTS),
    )
    db.execute(
        "DELETE FROM loose WHERE heard < ? OR rowid <= (SELECT MAX(rowid) FROM loose) - ?",
        (now - SETTLED_HOURS * 3600, 2 * REQUESTS),
    )
    surplus = "heard < ? OR stream IN (SELECT stream FROM streams ORDER BY heard DESC LIMIT -1 OFFSET ?)"
    latest = db.execute(
        f"SELECT MAX(heard) FROM streams WHERE {surplus}",  # noqa: S608
        (now - STREAM_DAYS * 86400, STREAMS),
    ).fetchone()[0]
    if latest is not None:
        db.execute(
            f"DELETE FROM streams WHERE {surplus}",  # noqa: S608
            (now - STREAM_DAYS * 86400, STREAMS),
        )
        horizon = max(_horizon(db), int(latest * 1e9))
        db.execute("REPLACE INTO meta VALUES ('streams_forgotten_ns', ?)", (str(horizon),))
