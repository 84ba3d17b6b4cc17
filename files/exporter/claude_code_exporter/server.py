"""HTTP at the edge: listeners with limits on size and time, and the pages of the exporter itself."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import logging
import os
import socket
import ssl
import time
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from cheroot.server import HTTPConnection
from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.wsgi import Server

from claude_code_exporter import kept
from claude_code_exporter.config import secret
from claude_code_exporter.turns import Turns, peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from claude_code_exporter.config import Address, Web

LARGEST_HEADER = 16 * 1024
PATIENCE = 12
"""Seconds a client may keep a read waiting, and a request may take in all however its bytes drip.

Twenty clients that end at once on a busy machine take seconds for a request, and what is cut off is not sent
again."""
GRACE = 8
"""Seconds for what was taken when the listener is stopped; what is cut off then is not sent again either."""
PLAIN = "text/plain; charset=utf-8"
PIECES = 512
"""Of a body in one block: some 100 kB of metrics."""

log = logging.getLogger("exporter")


class ListenError(Exception):
    """A listener could not be opened; the text says where and why."""


class _Connection(HTTPConnection):
    """A connection that tells its listener since when it has been at a request.

    Older cheroots lose a worker to a client that breaks off at a bad moment; here that costs a connection.
    """

    def communicate(self) -> bool:
        busy: dict[socket.socket, float] = self.server.busy
        busy[self.socket] = time.monotonic()
        try:
            return bool(super().communicate())  # type: ignore[no-untyped-call]
        except (OSError, ValueError):
            return False
        finally:
            busy.pop(self.socket, None)
            self.server.done(self)

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().close()


class _Server(Server):
    ConnectionClass = _Connection
    max_request_header_size = LARGEST_HEADER
    keep_alive_conn_limit = 16

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.busy: dict[socket.socket, float] = {}
        self.inherited: socket.socket | None = None
        self._turns: Turns[_Connection] = Turns(
            kwargs["numthreads"],
            lambda conn: peer(conn.remote_addr, conn.remote_port, here=self.bind_addr[1]),
            near=lambda conn: str(conn.remote_addr).startswith(("127.", "::1", "::ffff:127.")),
        )

    def process_conn(self, conn: _Connection) -> None:
        """Have a worker take a connection when it is its peer's turn."""
        if self._turns.begin(conn):
            super().process_conn(conn)

    def done(self, conn: _Connection) -> None:
        """Have the next one of that peer taken."""
        following = self._turns.end(conn)
        if following is not None:
            super().process_conn(following)

    def stop(self) -> None:
        """Have those taken, too, who wait for their turn; then close, and wait until all are answered."""
        for conn in self._turns.last():
            super().process_conn(conn)
        super().stop()

    def bind(self, family: int, type: int, proto: int = 0) -> socket.socket:  # noqa: A002 - cheroot's name
        """Bind, unless a predecessor left its socket."""
        if self.inherited is None:
            bound: socket.socket = super().bind(family, type, proto)
            return bound
        self.socket = self.inherited
        return self.inherited

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        """Keep what clients do wrong out of the log; what we do wrong is worth a line."""
        if level >= logging.ERROR:
            log.error("an HTTP request failed inside the exporter: %s", msg)


class _Tls(BuiltinSSLAdapter):
    """TLS whose handshake happens in a worker's time, not in that of the thread that accepts."""

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, str]]:
        wrapped = self.context.wrap_socket(sock, do_handshake_on_connect=False, server_side=True)
        return wrapped, {"wsgi.url_scheme": "https", "HTTPS": "on"}


class Listener:
    """One listening address with its worker threads."""

    def __init__(
        self,
        address: Address,
        application: WSGIApplication,
        *,
        threads: int,
        web: Web | None = None,
        outlives: bool = False,
    ) -> None:
        """Listen with so many threads; a socket that `outlives` the process is there for the next one.

        That one has a connection for each request: what is cut off the client does not send again.
        """
        self.address = address
        if web:
            application = Authenticated(application, {user: secret(file) for user, file in web.users.items()})
        self._server = _Server(
            (address.host, address.port),
            application,
            numthreads=threads,
            server_name="claude-code-exporter",
            request_queue_size=64,
            timeout=PATIENCE,
            shutdown_timeout=GRACE,
        )
        self._server.software = "claude-code-exporter"
        if web:
            try:
                self._server.ssl_adapter = _Tls(str(web.cert_file), str(web.key_file))
            except (OSError, ssl.SSLError) as error:
                msg = f"the certificate {web.cert_file} or its key cannot be used: {error}"
                raise ListenError(msg) from error
        if outlives:
            # Who takes up an idle connection in the moment in which it is closed would lose an export.
            self._server.keep_alive_conn_limit = 0
            self._server.inherited = kept.take(os.environ, address)
        try:
            self._server.prepare()
        except OSError as error:
            msg = f"cannot listen on {address}: {error.__cause__ or error}"
            raise ListenError(msg) from error
        if outlives and self._server.inherited is None:
            kept.keep(os.environ, self._server.socket)
        self._thread = Thread(target=self._server.serve, name=f"listen {address}", daemon=True)
        self._thread.start()

    def hurry(self) -> None:
        """Hang up on clients whose request has taken too long."""
        before = time.monotonic() - PATIENCE
        for sock, since in list(self._server.busy.items()):
            if since < before:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def stop(self) -> None:
        """Close the address, answer what was taken, and close the connections."""
        self._server.stop()


def blocks(pieces: list[bytes]) -> Iterator[bytes]:
    """Yield a body's pieces, some of which are a line, in blocks that are worth a write each."""
    for first in range(0, len(pieces), PIECES):
        yield b"".join(pieces[first : first + PIECES])


def reply(
    start_response: StartResponse,
    status: str,
    body: bytes | list[bytes],
    content_type: str = PLAIN,
    **headers: str,
) -> Iterable[bytes]:
    """Answer a WSGI request, its body whole or in pieces; underscores in `headers` become hyphens."""
    pieces = [body] if isinstance(body, bytes) else body
    fields = [("Content-Type", content_type), ("Content-Length", str(sum(map(len, pieces))))]
    fields += [(name.replace("_", "-"), value) for name, value in headers.items()]
    start_response(status, fields)
    return blocks(pieces)


class Authenticated:
    """Lets through who knows a user's password (HTTP basic authentication)."""

    def __init__(self, application: WSGIApplication, passwords: Mapping[str, str]) -> None:
        self._application = application
        self._known = [f"{user}:{password}".encode() for user, password in passwords.items()]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass the request on, or answer 401."""
        kind, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        try:
            pair = base64.b64decode(given, validate=True) if kind.lower() == "basic" else b""
        except (binascii.Error, ValueError):
            pair = b""
        # Every pair is compared, in constant time each: the answer's time tells nothing of the users.
        matches = [hmac.compare_digest(pair, known) for known in self._known]
        if any(matches):
            return self._application(environ, start_response)
        return reply(
            start_response,
            "401 Unauthorized",
            b"user and password, please\n",
            WWW_Authenticate='Basic realm="claude-code-exporter"',
        )


class Pages:
    """`/metrics`, `/-/healthy` and `/-/ready`."""

    def __init__(
        self,
        *,
        render: Callable[[str], tuple[list[bytes], str]],
        unhealthy: Callable[[], str],
        unready: Callable[[], str],
    ) -> None:
        """`render` turns an Accept header into body and content type; the others say what is wrong."""
        self._render = render
        self._states = {"/-/healthy": unhealthy, "/-/ready": unready}
        self._lock = Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if path != "/metrics" and path not in self._states:
            return reply(start_response, "404 Not Found", b"here are /metrics, /-/healthy and /-/ready\n")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return reply(
                start_response, "405 Method Not Allowed", b"GET or HEAD, please\n", Allow="GET, HEAD"
            )
        if path == "/metrics":
            with self._lock:  # two scrapes at once cost twice the memory and are no faster
                body, content_type = self._render(environ.get("HTTP_ACCEPT", ""))
            return _unless_head(environ, reply(start_response, "200 OK", body, content_type))
        wrong = self._states[path]()
        status = "503 Service Unavailable" if wrong else "200 OK"
        return _unless_head(environ, reply(start_response, status, f"{wrong or 'ok'}\n".encode()))


def _unless_head(environ: WSGIEnvironment, body: Iterable[bytes]) -> Iterable[bytes]:
    return [] if environ["REQUEST_METHOD"] == "HEAD" else body
