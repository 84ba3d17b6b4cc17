"""Somebody who is no client of ours: asks, holds connections, and stands where a service should be.

Tests import it; on a host it runs by itself, with nothing but Python:

``stranger.py ask``                 what came of each of the ``Ask``s on stdin, both as JSON
``stranger.py hold SECONDS``        holds connections to the [address, port, number] on stdin, finishes none
``stranger.py stand PORT FILE P…``  stands there with the certificates P (with their keys) in turn, and writes
                                    a line about each connection: what it heard, or why it was hung up on
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import ssl
import sys
import time
import warnings
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

PATIENCE = 15
PAUSE = 2
IP_TRANSPARENT = 19  # linux/in.h; the module socket knows it from Python 3.14 on
LONGEST = 1_000_000
VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
# The head of a record of 512 bytes, of which no more comes; to who speaks no TLS it is a line without end.
BEGINNING = b"\x16\x03\x01\x02\x00"


@dataclass(frozen=True)
class Ask:
    """One request, sent as it is written here: no client tidies its path or its headers.

    fill: bytes of the body, or of the header that ``into`` names. body: in base64. version: the only one of
    TLS. certificate: a file with the one to show and its key.
    """

    address: str
    port: int
    path: str = "/"
    method: str = "GET"
    tls: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    fill: int = 0
    into: str = ""
    version: str = ""
    certificate: str = ""

    def pieces(self) -> list[bytes]:
        """Return the bytes of the request."""
        body = base64.b64decode(self.body)
        fields = {"Host": "x", "Connection": "close", **self.headers}
        if self.into:
            fields[self.into] = "x" * self.fill
        elif self.method != "GET":
            fields["Content-Length"] = str(self.fill or len(body))
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
        filling = [] if self.into else [b"x" * 65536] * (self.fill // 65536)
        return ["\r\n".join([*lines, "", ""]).encode(), body, *filling]


def careless(ask: Ask) -> ssl.SSLContext:
    """Return a context that takes any certificate, and would speak versions that are no more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if ask.version:
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = VERSIONS[ask.version]
    if ask.certificate:
        context.load_cert_chain(ask.certificate)
    return context


def answer(ask: Ask) -> tuple[int, str]:
    """Return the status and what was answered; 0 and the reason where nothing was."""
    try:
        plain = socket.create_connection((ask.address, ask.port), timeout=PATIENCE)
        with plain, careless(ask).wrap_socket(plain) if ask.tls else plain as sock:
            # Who refuses answers before it has heard all, and hangs up.
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                for piece in ask.pieces():
                    sock.sendall(piece)
            return received(sock)
    except OSError as error:
        return 0, str(getattr(error, "reason", None) or type(error).__name__)


def received(sock: socket.socket) -> tuple[int, str]:
    """Read an answer to its end or limit. Raises ``OSError`` where there is none."""
    said = b""
    while len(said) < LONGEST:
        try:
            more = sock.recv(65536)
        except OSError:
            if not said:
                raise
            break
        if not more:
            break
        said += more
    status = re.match(rb"HTTP/1\.[01] (\d{3})", said)
    return (int(status[1]) if status else 0), said.decode("latin-1")


def hold(doors: list[tuple[str, int, int]], seconds: float) -> None:
    """Hold so many connections to each door that long; one that is hung up on is made again."""
    held: list[tuple[socket.socket, tuple[str, int]]] = []
    wanted = [(address, port) for address, port, number in doors for _ in range(number)]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        again = []
        for door in wanted:
            try:
                sock = socket.create_connection(door, timeout=1)
                sock.sendall(BEGINNING)
            except OSError:
                again.append(door)
                continue
            sock.settimeout(0)
            held.append((sock, door))
        wanted = again
        time.sleep(PAUSE)
        for sock, door in held[:]:
            try:
                over = sock.recv(1) == b""
            except BlockingIOError:
                continue
            except OSError:
                over = True
            if over:
                sock.close()
                held.remove((sock, door))
                wanted.append(door)


def stand(port: int, file: Path, certificates: list[str]) -> None:
    """Serve with each certificate in turn, for ever."""
    contexts = []
    for certificate in certificates:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        contexts.append((Path(certificate).name, context))
    with socket.create_server(("0.0.0.0", port)) as listener:
        # The address that it answers from is none of this host's.
        listener.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
        for name, context in cycle(contexts):
            connection, _ = listener.accept()
            connection.settimeout(PATIENCE)
            try:
                with context.wrap_socket(connection, server_side=True) as sock:
                    heard = sock.recv(65536).decode("latin-1")
                    said = {"certificate": name, "heard": heard}
            except OSError as error:
                said = {"certificate": name, "refused": str(getattr(error, "reason", error))}
            with file.open("a") as lines:
                lines.write(json.dumps(said) + "\n")


def main(task: str, *arguments: str) -> None:
    """Do what the command line says."""
    if task == "ask":
        print(json.dumps([answer(Ask(**each)) for each in json.load(sys.stdin)]))
    elif task == "hold":
        hold(json.load(sys.stdin), float(arguments[0]))
    else:
        stand(int(arguments[0]), Path(arguments[1]), list(arguments[2:]))


if __name__ == "__main__":
    main(*sys.argv[1:])
