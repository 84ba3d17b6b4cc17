"""A listening socket that outlives its process, kept by systemd for the unit (sd_notify(3), FDSTORE=1).

Claude Code does not send again what was refused. Between a death of the exporter and its restart clients
wait in the queue of the kept socket instead.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from claude_code_exporter.config import Address

FIRST = 3
"""The first file descriptor that systemd passes on (sd_listen_fds(3))."""
NAME = "otlp"


def take(environ: MutableMapping[str, str], address: Address) -> socket.socket | None:
    """Return the socket that a predecessor left for `address`, or None; one for another address is given up.

    Removes systemd's variables from `environ`, so that they are nobody else's business.
    """
    variables = {name: environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")}
    if variables["LISTEN_PID"] != str(os.getpid()) or not variables["LISTEN_FDS"].isdecimal():
        return None
    found = None
    for descriptor in range(FIRST, FIRST + int(variables["LISTEN_FDS"])):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - positional only
        kept = socket.socket(fileno=descriptor)
        if found is None and kept.getsockname()[:2] == (address.host, address.port):
            found = kept
        else:
            kept.close()
    if found is None:
        _notify(environ, f"FDSTOREREMOVE=1\nFDNAME={NAME}")
    return found


def keep(environ: MutableMapping[str, str], sock: socket.socket) -> None:
    """Have systemd keep `sock` until the unit is stopped; without systemd nothing happens."""
    _notify(environ, f"FDSTORE=1\nFDNAME={NAME}", sock.fileno())


def _notify(environ: MutableMapping[str, str], message: str, *descriptors: int) -> None:
    where = environ.get("NOTIFY_SOCKET", "")
    if not where:
        return
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    # An exporter whose socket nobody keeps still counts.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendmsg([message.encode()], rights, 0, "\0" + where[1:] if where.startswith("@") else where)
