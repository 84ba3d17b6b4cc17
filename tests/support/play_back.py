"""Plays a recorded session on a host as if a client ran there: installed hooks, exports to the exporter.

Reads from standard input one JSON object: ``hooks``, the inputs of hooks in their order, and ``exports`` as
``otlp_recorder.py`` wrote them. Each export is sent ``times`` times. Prints the answers: ``[STATUS, TEXT]``.
Needs the standard library alone; run it as the user whose session it shall be.
"""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/claude-code/managed-settings.d/50-observability-hooks.json")
EXPORTER = ("127.0.0.1", 4318)


def hook(registered: dict[str, Any], hook_input: dict[str, Any]) -> None:
    """Run what is registered for the event, as the client would."""
    for group in registered.get(hook_input["hook_event_name"], []):
        for command in group["hooks"]:
            subprocess.run(
                ["/bin/sh", "-c", command["command"]],
                input=json.dumps(hook_input).encode(),
                stdout=subprocess.DEVNULL,
                check=True,
                timeout=30,
            )


def send(export: dict[str, str]) -> tuple[int, str]:
    """Send one export as it was sent; return status and text of the answer."""
    headers = {"Content-Type": export["type"]}
    if export["encoding"]:
        headers["Content-Encoding"] = export["encoding"]
    connection = http.client.HTTPConnection(*EXPORTER, timeout=20)
    try:
        connection.request("POST", export["path"], base64.b64decode(export["body"]), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def main() -> None:
    """Play it."""
    recorded = json.load(sys.stdin)
    registered = json.loads(SETTINGS.read_text())["hooks"]
    for hook_input in recorded["hooks"]:
        hook(registered, hook_input)
    answers = [send(export) for _ in range(recorded["times"]) for export in recorded["exports"]]
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
