"""The sender without an exporter: from the user's own journal through the ledger to a Pushgateway, once.

A put replaces its whole group, so each user of a host has a group of their own.

Whatever fails, fails silently and is made up for by the next run: the counters stay in the ledger, the lines
in the journal. Claude Code's own telemetry (cost, tokens, response times) does not come this way, only hooks.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import http.client
import os
import pwd
import socket
import ssl
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlsplit

from .exposition import CONTENT_TYPE
from .labels import Options
from .ledger import Ledger, LedgerBusy, LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROTATE_ABOVE = 4 * 1024 * 1024
PATIENCE = 20.0  # seconds for another sender to finish: its last look may have been before our line
TIMEOUT = 5.0  # seconds for each step of the connection
_CHUNK = 1 << 20
_HEADER = 128
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Settings(Protocol):
    """What the sender must know: see `utils.settings`."""

    journal_dir: str
    state_dir: str
    instance: str
    labels: dict[str, str]
    pushgateway: dict[str, str]


def run(settings: Settings, *, patience: float = PATIENCE) -> bool:
    """Consume the caller's journal and put all totals to the Pushgateway; return whether it took them.

    patience: seconds to wait for another sender. Never raises for what the environment does.
    """
    if not settings.pushgateway.get("url"):
        return False
    try:
        with _accounted(settings, patience=patience) as body:
            return _put(settings.pushgateway, settings.instance or socket.gethostname(), body)
    except (LedgerError, OSError, ValueError, http.client.HTTPException):
        return False


def account(settings: Settings, *, patience: float) -> bytes:
    """Bring the caller's journal into the ledger and return the exposition.

    patience: seconds to wait for another sender. Raises `LedgerError` and `OSError`.
    """
    with _accounted(settings, patience=patience) as body:
        return body


@contextlib.contextmanager
def _accounted(settings: Settings, *, patience: float) -> Iterator[bytes]:
    """Hold the ledger while its exposition is in use, or an older one could be put after a newer."""
    now = time.time()
    state = Path(settings.state_dir)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = Options({key: str(value) for key, value in settings.labels.items()})
    ledger = _open(state / "ledger.sqlite", options, now=now, patience=patience)
    try:
        for path in _journals(Path(settings.journal_dir)):
            with contextlib.suppress(OSError):  # a link, or gone since: the others count all the same
                _consume(ledger, path, now=now)
        boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
        ledger.tick(now=now, boot_id=boot)
        yield ledger.exposition(now=now)
    finally:
        ledger.close()


def _open(path: Path, options: Options, *, now: float, patience: float) -> Ledger:
    deadline = time.monotonic() + patience
    while True:
        try:
            return Ledger.open(path, options=options, now=now)
        except LedgerBusy:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.1)


def _journals(directory: Path) -> Iterator[Path]:
    uid = os.geteuid()
    for path in sorted(directory.glob(f"{uid}*.jsonl")):
        if path.name.split(".")[0] == str(uid):
            yield path


def _consume(ledger: Ledger, path: Path, *, now: float) -> None:
    """Count what is new in one journal, and remove it when it is large and wholly counted."""
    uid = os.geteuid()
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != uid:
            return
        name = _name(os.pread(descriptor, _HEADER, 0))
        if not name:
            return
        offset = ledger.offset(owner=uid, journal=name)
        while True:
            chunk = os.pread(descriptor, _CHUNK, offset)
            read = ledger.journal(
                owner=uid, user=_user(uid), journal=name, offset=offset, chunk=chunk, now=now
            )
            if read == offset:
                break
            offset = read
        if offset > ROTATE_ABOVE:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_size == offset:
                    path.unlink()
    finally:
        os.close(descriptor)


def _name(head: bytes) -> str:
    """Return the journal's name from its first line, or nothing."""
    line, newline, _ = head.partition(b"\n")
    parts = line.split(b'"')
    if not newline or len(parts) < 4 or parts[1] != b"journal":
        return ""
    return parts[3].decode("ascii", "replace")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _put(gateway: Mapping[str, str], instance: str, body: bytes) -> bool:
    url = urlsplit(gateway["url"])
    host = url.hostname
    if url.scheme not in ("http", "https") or host is None:
        return False
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        context = ssl.create_default_context(cafile=gateway.get("ca_file") or None)
        connection = http.client.HTTPSConnection(host, url.port, timeout=TIMEOUT, context=context)
    else:
        connection = http.client.HTTPConnection(host, url.port, timeout=TIMEOUT)
    headers = {"Content-Type": CONTENT_TYPE}
    username = gateway.get("username")
    if username:
        password = Path(gateway["password_file"]).read_text(encoding="utf-8").strip()
        pair = base64.b64encode(f"{username}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    group = f"{_group('instance', instance)}/{_group('user', _user(os.geteuid()))}"
    path = f"{url.path.rstrip('/')}/metrics/job/claude_code/{group}"
    try:
        connection.request("PUT", path, body, headers)
        return 200 <= connection.getresponse().status < 300
    finally:
        connection.close()


def _group(label: str, value: str) -> str:
    """Return a part of the grouping key; the Pushgateway takes in base64 what a path cannot hold."""
    if "/" in value:
        return f"{label}@base64/{base64.urlsafe_b64encode(value.encode()).decode()}"
    return f"{label}/{quote(value, safe='')}"
