"""A receiver of notifications: ``webhook.py PORT FILE`` appends each body that is posted, one a line.

It listens on all addresses, for an Alertmanager in a container comes from another one.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Takes what Alertmanager posts."""

    def log_message(self, *_: object) -> None:
        """Say nothing: the file says it all."""

    def do_POST(self) -> None:
        """Write down one notification."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with Path(sys.argv[2]).open("a") as file:
            file.write(json.dumps(body) + "\n")
        self.send_response(200)
        self.end_headers()


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
