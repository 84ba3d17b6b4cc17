"""The journals: which files of a directory that all can write to are believed, and how they are read."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import pwd
import re
import stat
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meter.ledger import Ledger

NAME = re.compile(r"(0|[1-9][0-9]{0,9})(?:\.[^/]*)?\.jsonl\Z")
JOURNAL = re.compile(r"[0-9a-f]{32}\Z")
LONGEST_LINE = 4096
CHUNK = 256 * 1024
SHARE = 4 * CHUNK
"""Bytes of one owner in one pass: whoever writes much must not keep the others waiting."""
MOST_FILES = 64
"""Journals of one owner; a directory full of them must not cost a second a second."""
ROTATE_ABOVE = 4 * 1024 * 1024
SAY_AGAIN = 3600.0
OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

log = logging.getLogger("exporter")


class UntrustedError(Exception):
    """The file is no journal; the text is the reason, from a closed list."""


class _Entry:
    """What is known of one name in the directory."""

    __slots__ = ("done", "identity", "owner", "refused", "since", "size")

    def __init__(self, owner: int) -> None:
        self.owner = owner
        self.identity = (0, 0)
        self.size = -1
        self.since = 0.0
        self.done = False
        self.refused = ""


class Journals:
    """All journals of a directory. Not thread-safe: the keeper's thread alone uses it."""

    def __init__(self, directory: Path, ledger: Ledger) -> None:
        self._ledger = ledger
        self._fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._listed = -1
        self._refused: Counter[str] = Counter()
        self._said: dict[str, float] = {}
        self._entries: dict[str, _Entry] = {}

    def lag(self, now: float) -> float:
        """Seconds for which the oldest lines that are seen and not yet counted have been waiting."""
        waiting = [entry.since for entry in list(self._entries.values()) if entry.since]
        return max(0.0, now - min(waiting)) if waiting else 0.0

    def close(self) -> None:
        """Close the directory."""
        os.close(self._fd)

    def read(self, *, now: float, between: Callable[[], None]) -> bool:
        """Bring what is new into the ledger, each owner up to a share; whether something is left.

        `between` is called after each transaction, so that nobody waits for a whole pass.
        Raises what the ledger raises when it cannot be written; then the rest waits for the next pass.
        """
        self._list()
        shares: dict[int, int] = {}
        more = False
        for name, entry in list(self._entries.items()):
            share = shares.setdefault(entry.owner, SHARE)
            try:
                seen = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
                if entry.done and seen.st_size == entry.size and (seen.st_dev, seen.st_ino) == entry.identity:
                    continue
                entry.since = entry.since or now
                if share <= 0:
                    more = True
                    continue
                left = self._read(name, entry, seen, share, now, between)
            except FileNotFoundError:
                del self._entries[name]
                continue
            except UntrustedError as error:
                self._refuse(name, entry, seen, str(error), now)
                continue
            shares[entry.owner] = left
            more = more or not entry.done
        for reason in list(self._refused):
            self._ledger.reject(reason, self._refused[reason])
            del self._refused[reason]
        return more

    def _list(self) -> None:
        """Learn which names there are, when the directory has changed since it was listed."""
        changed = os.fstat(self._fd).st_mtime_ns
        if changed == self._listed:
            return
        known, self._entries = self._entries, {}
        files: dict[int, int] = {}
        with os.scandir(self._fd) as entries:
            names = [entry.name for entry in entries]
        for name in sorted(names, key=lambda name: (len(name), name)):
            match = NAME.match(name)
            if not match:
                continue
            owner = int(match[1])
            files[owner] = files.get(owner, 0) + 1
            if files[owner] <= MOST_FILES:
                self._entries[name] = known.get(name) or _Entry(owner)
        self._listed = changed

    def _read(
        self,
        name: str,
        entry: _Entry,
        seen: os.stat_result,
        share: int,
        now: float,
        between: Callable[[], None],
    ) -> int:
        """Read one file up to `share` bytes; returns what is left of the share."""
        _trust(seen, entry.owner)
        fd = _open(name, self._fd)
        try:
            status = os.fstat(fd)
            _trust(status, entry.owner)
            journal = _header(os.pread(fd, LONGEST_LINE, 0))
            if journal is None:
                self._remember(entry, status, done=True)
                return share
            offset = self._ledger.offset(owner=entry.owner, journal=journal)
            more = True
            while more and share > 0:
                new, more = self._consume(fd, entry.owner, journal, offset, now)
                share -= new - offset
                offset = new
                between()
            self._remember(entry, status, done=not more)
            if offset > ROTATE_ABOVE and not more:
                self._rotate(name, entry, fd, journal, now)
        finally:
            os.close(fd)
        return share

    def _consume(self, fd: int, owner: int, journal: str, offset: int, now: float) -> tuple[int, bool]:
        """Bring one chunk into the ledger; returns the new offset and whether there may be more."""
        chunk = os.pread(fd, CHUNK, offset)
        if not chunk:
            return offset, False
        user = user_name(owner)
        new = self._ledger.journal(
            owner=owner, user=user, journal=journal, offset=offset, chunk=chunk, now=now
        )
        return new, new > offset and len(chunk) == CHUNK

    def _remember(self, entry: _Entry, status: os.stat_result, *, done: bool, refused: str = "") -> None:
        entry.identity, entry.size = (status.st_dev, status.st_ino), status.st_size
        entry.done, entry.refused = done, refused
        if done:
            entry.since = 0.0

    def _refuse(self, name: str, entry: _Entry, seen: os.stat_result, reason: str, now: float) -> None:
        """Count an untrustworthy file once, and remove what occupies the name of somebody else's journal."""
        identity = (seen.st_dev, seen.st_ino)
        if entry.refused != reason or entry.identity != identity:
            self._refused[reason] += 1
            # Whoever can make such files could fill the log with them: one line an hour says what there is.
            if abs(now - self._said.get(reason, 0.0)) >= SAY_AGAIN:
                self._said[reason] = now
                # A name may have anything in it, a line of a log that we never wrote included.
                shown = name.encode("unicode_escape").decode()
                log.warning("the journal %s is not read: %s", shown, SAYINGS[reason])
        self._remember(entry, seen, done=True, refused=reason)
        if seen.st_uid != entry.owner:
            with contextlib.suppress(OSError):
                (os.rmdir if stat.S_ISDIR(seen.st_mode) else os.unlink)(name, dir_fd=self._fd)

    def _rotate(self, name: str, entry: _Entry, fd: int, journal: str, now: float) -> None:
        """Remove a large file once all of it is counted; while a writer is at it, the next pass tries."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            seen = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except (BlockingIOError, FileNotFoundError):
            entry.size = -1  # not remembered as read: the next pass looks again
            return
        # With the lock nobody writes: what was written since the last look is the rest.
        offset = self._ledger.offset(owner=entry.owner, journal=journal)
        offset, _ = self._consume(fd, entry.owner, journal, offset, now)
        if os.fstat(fd).st_size == offset and (seen.st_dev, seen.st_ino) == entry.identity:
            os.unlink(name, dir_fd=self._fd)
            del self._entries[name]
        else:
            entry.size = -1


SAYINGS = {
    "journal_owner": "it belongs to somebody else than its name says; it was removed",
    "journal_kind": "it is not a regular file",
    "journal_links": "it has more than one hard link",
    "journal_header": "its first line does not name a journal",
    "journal_unreadable": "the exporter may not read it; its mode should be 0640, its group the exporter's",
}


def _trust(status: os.stat_result, owner: int) -> None:
    if status.st_uid != owner:
        raise UntrustedError("journal_owner")
    if not stat.S_ISREG(status.st_mode):
        raise UntrustedError("journal_kind")
    if status.st_nlink != 1:
        raise UntrustedError("journal_links")


def _open(name: str, directory: int) -> int:
    try:
        return os.open(name, OPEN, dir_fd=directory)
    except FileNotFoundError:
        raise
    except PermissionError:
        raise UntrustedError("journal_unreadable") from None
    except OSError:  # a link or a socket that took the file's place since it was looked at
        raise UntrustedError("journal_kind") from None


def _header(head: bytes) -> str | None:
    """Return the journal's name, or None while its first line is still being written."""
    line, newline, _ = head.partition(b"\n")
    if not newline:
        if len(head) >= LONGEST_LINE:
            raise UntrustedError("journal_header")
        return None
    try:
        header = json.loads(line)
        journal = header["journal"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UntrustedError("journal_header") from None
    if not isinstance(journal, str) or not JOURNAL.match(journal) or header.get("v") != 1:
        raise UntrustedError("journal_header")
    return journal


def user_name(uid: int) -> str:
    """Return the login name of a user id, or the id's digits when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
