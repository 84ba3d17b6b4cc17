"""A ledger whose labels become stricter: what stands in full is hashed or taken away, and sums stay whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .contract import OTHER, UNKNOWN

if TYPE_CHECKING:
    import sqlite3

    from .labels import Options

_STRICTER = {("full", "hashed"), ("full", "off"), ("hashed", "off")}


def follow(db: sqlite3.Connection, options: Options) -> None:
    """Bring the labels of all that was counted in line with `options`, inside the caller's transaction.

    The other way there is none: what was hashed stays so, and what comes next is in full.
    """
    row = db.execute("SELECT value FROM meta WHERE key = 'labels'").fetchone()
    before = json.loads(row[0]) if row else {}
    modes = {"user": options.user_label, "project": options.project_label}
    for column, mode in modes.items():
        if (before.get(column), mode) in _STRICTER:
            _replace(db, column, options)
    if before != modes:
        db.execute("REPLACE INTO meta VALUES ('labels', ?)", (json.dumps(modes),))


def _replace(db: sqlite3.Connection, column: str, options: Options) -> None:
    label = options.user if column == "user" else options.project
    found = {row[0] for row in db.execute(f"SELECT {column} FROM series UNION SELECT {column} FROM sessions")}  # noqa: S608
    for old in sorted(found - {"", OTHER, UNKNOWN}):
        _rename(db, column, old=old, new=label(old))
    for old in (OTHER, UNKNOWN):
        if label(old) != old:
            _rename(db, column, old=old, new=label(old))
    if column == "project":
        db.execute("DELETE FROM names WHERE kind = 'project'")
        db.execute(
            "INSERT OR IGNORE INTO names SELECT DISTINCT 'project', project FROM series "
            "WHERE project NOT IN ('', ?, ?)",
            (OTHER, UNKNOWN),
        )


def _rename(db: sqlite3.Connection, column: str, *, old: str, new: str) -> None:
    db.execute(f"UPDATE sessions SET {column} = ? WHERE {column} = ?", (new, old))  # noqa: S608
    rows = db.execute(
        f"SELECT id, metric, user, project, labels, value, buckets FROM series WHERE {column} = ?",  # noqa: S608
        (old,),
    ).fetchall()
    for number, metric, user, project, labels, value, buckets in rows:
        key = (metric, new if column == "user" else user, new if column == "project" else project, labels)
        other = db.execute(
            "SELECT id, value, buckets FROM series "
            "WHERE metric = ? AND user = ? AND project = ? AND labels = ?",
            key,
        ).fetchone()
        if other is None:
            db.execute(f"UPDATE series SET {column} = ? WHERE id = ?", (new, number))  # noqa: S608
            continue
        counts = buckets
        if buckets:
            pairs = zip(json.loads(buckets), json.loads(other[2]))  # noqa: B905  # Python 3.9 knows no strict
            counts = json.dumps([mine + theirs for mine, theirs in pairs])
        total = str(int(value) + int(other[1]))
        db.execute("UPDATE series SET value = ?, buckets = ? WHERE id = ?", (total, counts, other[0]))
        db.execute("DELETE FROM series WHERE id = ?", (number,))
