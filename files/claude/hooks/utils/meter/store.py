"""The ledger's file: one writer, whole transactions, a schema that can be brought up to date.

A write-ahead log with ``synchronous=FULL``: what was acknowledged to a client is never sent again and a
consumed journal may be unlinked, so a committed transaction must survive a power cut, not only a killed
process. One commit a chunk keeps that to a few flushes a second.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sqlite3
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Each script brings the schema one version further; a released script is never changed.
SCHEMA = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE names (kind TEXT, name TEXT, PRIMARY KEY (kind, name)) WITHOUT ROWID;
    CREATE TABLE series (
        id INTEGER PRIMARY KEY, metric TEXT NOT NULL, user TEXT NOT NULL, project TEXT NOT NULL,
        labels TEXT NOT NULL, value TEXT NOT NULL, buckets TEXT NOT NULL, born REAL NOT NULL,
        UNIQUE (metric, user, project, labels));
    CREATE TABLE journals (
        owner INTEGER, journal TEXT, offset INTEGER NOT NULL, skipping INTEGER NOT NULL,
        PRIMARY KEY (owner, journal)) WITHOUT ROWID;
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY, owner INTEGER NOT NULL, user TEXT NOT NULL, project TEXT NOT NULL,
        live INTEGER NOT NULL, heard REAL NOT NULL, state TEXT NOT NULL);
    CREATE INDEX sessions_live ON sessions (live, heard);
    CREATE TABLE digests (digest BLOB PRIMARY KEY, heard REAL NOT NULL);
    CREATE TABLE streams (stream BLOB PRIMARY KEY, value INTEGER NOT NULL, heard REAL NOT NULL);
    CREATE TABLE waiting (
        number INTEGER PRIMARY KEY, session TEXT NOT NULL, heard REAL NOT NULL, adds TEXT NOT NULL);
    CREATE INDEX waiting_session ON waiting (session);
    """,
    """
    CREATE TABLE requests (
        session TEXT, request TEXT, conversation TEXT NOT NULL, calls INTEGER NOT NULL, time INTEGER NOT NULL,
        cost INTEGER, tools TEXT NOT NULL, heard REAL NOT NULL, settled INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (session, request));
    CREATE TABLE loose (
        session TEXT, use TEXT, tool TEXT NOT NULL, time INTEGER NOT NULL, heard REAL NOT NULL,
        PRIMARY KEY (session, use));
    CREATE INDEX requests_open ON requests (settled, heard);
    CREATE INDEX requests_conversation ON requests (session, conversation, time);
    CREATE INDEX requests_time ON requests (session, time);
    """,
)


_TABLES = frozenset(re.findall(r"CREATE TABLE (\w+)", " ".join(SCHEMA)))


class LedgerError(Exception):
    """The ledger cannot be used; the text says why and what to do. Nothing was counted."""


class LedgerBusy(LedgerError):  # noqa: N818  # it is the ledger that is busy
    """Somebody else has this ledger open."""


class Store:
    """The open file. `damage` is one sentence if a damaged file was found and set aside, else empty."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage = ""
        self._lock = _lock(path)
        try:
            self.db = self._open()
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.OperationalError as error:
            raise self.explain(error) from error
        except sqlite3.DatabaseError as error:
            return self._replacement(error)

    def replace(self, error: Exception) -> None:
        """Set the file aside, for what it holds is damaged, and begin a new one; `damage` says so."""
        self.db.close()
        self.db = self._replacement(error)

    def _replacement(self, error: Exception) -> sqlite3.Connection:
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
        try:
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + suffix).rename(f"{aside}{suffix}")
            connection = self._connect()
        except (OSError, sqlite3.Error) as second:
            message = f"the damaged ledger {self.path} cannot be replaced: {second}"
            raise LedgerError(message) from second
        self.damage = (
            f"the ledger {self.path} was damaged ({error}) and set aside as {aside.name}; "
            "counting starts anew from what the journals still hold"
        )
        return connection

    def _connect(self) -> sqlite3.Connection:
        with contextlib.suppress(OSError):  # SQLite says better what is wrong; its other files get this mode
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5.0)
        try:
            connection.execute("PRAGMA cache_size=-2048")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise sqlite3.DatabaseError(found)
            self._upgrade(connection)
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
            missing = sorted(_TABLES - tables)
            if missing:
                message = f"it lacks {', '.join(missing)}"
                raise sqlite3.DatabaseError(message)
        except BaseException:
            connection.close()
            raise
        return connection

    def _upgrade(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(SCHEMA):
            message = (
                f"the ledger {self.path} was written by a newer version (schema {version}, this one knows "
                f"{len(SCHEMA)}): install that version, or move the file away to count from nothing"
            )
            raise LedgerError(message)
        for number, script in enumerate(SCHEMA[version:], version + 1):
            connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version={number}; COMMIT;")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what is done inside, or nothing of it; raises `LedgerError` when the disk refuses."""
        try:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self.explain(error) from error

    def explain(self, error: sqlite3.Error) -> LedgerError:
        """Return `error` as a sentence for whoever runs this host."""
        text = str(error)
        if "full" in text:
            advice = "free space on its file system"
        elif "readonly" in text or "unable to open" in text or "disk I/O" in text:
            advice = "make its directory writable for this user and check its disk"
        elif "malformed" in text or "not a database" in text:
            advice = "restart, and it will be set aside and rebuilt"
        else:
            advice = "see the reason"
        return LedgerError(
            f"the ledger {self.path} cannot be written ({text}), nothing was counted: {advice}"
        )

    def size(self) -> int:
        """Return the bytes on disk, the write-ahead log included."""
        total = 0
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                total += self.path.with_name(self.path.name + suffix).stat().st_size
        return total

    def close(self) -> None:
        """Close the file and let the next one have it."""
        self.db.close()
        os.close(self._lock)


def _lock(path: Path) -> int:
    beside = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        message = (
            f"the ledger's lock {beside} cannot be opened ({error.strerror}): make its directory writable"
        )
        raise LedgerError(message) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        message = f"the ledger {path} is in use by another process: only one may count at a time"
        raise LedgerBusy(message) from None
    return descriptor
