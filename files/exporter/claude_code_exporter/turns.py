"""Whose connections the workers are at, so that nobody who is slow keeps them from everybody else."""

from __future__ import annotations

import ipaddress
from collections import Counter, deque
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

LONGEST_QUEUE = 64
TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


class _Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


def peer(address: str, port: int, *, here: int) -> str:
    """Return who is at the other end of a connection to our port `here`: an address, or a local user."""
    try:
        if not ipaddress.ip_address(address).is_loopback:
            return address
    except ValueError:
        return address
    ends = (f":{port:04X}", f":{here:04X}")
    for table in TABLES:
        try:
            rows = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[1].endswith(ends[0]) and fields[2].endswith(ends[1]):
                return f"uid {fields[7]}"
    return address


class Turns(Generic[C]):
    """Gives connections their turn: a peer has a quarter of the workers, what it has more waits for those.

    To learn whose a connection is costs milliseconds where that is a user of this host; while half of the
    workers are idle nobody asks.
    """

    def __init__(self, workers: int, whose: Callable[[C], str], *, near: Callable[[C], bool]) -> None:
        """`whose` says who is at the other end; `near`: whether that is this host."""
        self._idle_enough = workers // 2
        self._share = max(1, workers // 4)
        self._whose = whose
        self._near = near
        self._lock = Lock()
        self._busy: Counter[str] = Counter()
        self._served: dict[Hashable, str] = {}
        self._waiting: dict[str, deque[C]] = {}
        self._closing = False

    def begin(self, connection: C) -> bool:
        """Say whether a worker may take the connection now; else it waits, or is closed where too many do."""
        with self._lock:
            if self._closing or (self._near(connection) and self._busy.total() < self._idle_enough):
                self._serve(connection, "")
                return True
        who = self._whose(connection)
        with self._lock:
            if self._busy[who] < self._share:
                self._serve(connection, who)
                return True
            queue = self._waiting.setdefault(who, deque())
            if len(queue) < LONGEST_QUEUE:
                queue.append(connection)
                return False
        connection.close()
        return False

    def end(self, connection: C) -> C | None:
        """Note that a worker is done with the connection; return the next one of its peer, if one waits."""
        with self._lock:
            who = self._served.pop(id(connection), None)
            if who is None:
                return None
            self._busy[who] -= 1
            if not self._busy[who]:
                del self._busy[who]
            queue = self._waiting.get(who)
            if not queue:
                return None
            following = queue.popleft()
            if not queue:
                del self._waiting[who]
            self._serve(following, who)
            return following

    def last(self) -> list[C]:
        """Have nobody wait any more, for the workers are about to leave; return those that waited."""
        with self._lock:
            self._closing = True
            waited = [connection for queue in self._waiting.values() for connection in queue]
            self._waiting.clear()
            for connection in waited:
                self._serve(connection, "")
            return waited

    def _serve(self, connection: C, who: str) -> None:
        self._busy[who] += 1
        self._served[id(connection)] = who
