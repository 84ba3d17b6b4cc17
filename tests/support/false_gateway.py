"""A Pushgateway's stand-in whose clock is wrong: ``false_gateway.py PORT SECONDS`` is that far ahead."""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

AHEAD = float(sys.argv[2])


class Handler(BaseHTTPRequestHandler):
    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the header's text, `AHEAD` seconds from now."""
        return super().date_time_string((time.time() if timestamp is None else timestamp) + AHEAD)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_PUT()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
