"""Writes down what a client exports: ``otlp_recorder.py PORT DIRECTORY`` takes OTLP over HTTP on loopback.

An export to ``/NAME/v1/SIGNAL`` becomes one line of ``DIRECTORY/NAME.jsonl``: ``path`` (without the name),
``type``, ``encoding`` and, in base64, the ``body`` as it was sent. Needs the standard library alone.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LOCK = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """Takes everything; ``directory`` is set by :func:`main`."""

    protocol_version = "HTTP/1.1"
    directory: Path

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def body(self) -> bytes:
        """Read the body, whole or in chunks."""
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self, data: bytes) -> None:
        """Say that all is well."""
        self.send_response(200)
        self.send_header("content-type", self.headers.get("content-type", "application/json"))
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        """Say that the recorder is there."""
        self.answer(b"{}")

    def do_POST(self) -> None:
        """Write one export down."""
        name, _, path = self.path.strip("/").partition("/")
        kind = self.headers.get("content-type", "")
        encoding = self.headers.get("content-encoding", "")
        body = base64.b64encode(self.body()).decode()
        line = {"path": f"/{path}", "type": kind, "encoding": encoding, "body": body}
        with LOCK, (self.directory / f"{name}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.answer(b"{}" if "json" in kind else b"")


def main() -> None:
    """Serve until killed."""
    Handler.directory = Path(sys.argv[2])
    Handler.directory.mkdir(parents=True, exist_ok=True)
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()


if __name__ == "__main__":
    main()
