"""A scripted stand-in for the Messages API: the real client works against it, and every answer is known.

``messages_api.py PORT DIRECTORY`` listens on loopback, needs the standard library alone, and takes its orders
from files.

``DIRECTORY/KEY.json`` is the script of one conversation, a list of steps. A conversation says its key as
``[[KEY]]`` in its first message; its step N answers the request in which the model has spoken N times before.
A step holds

    text     the model says this, and the turn ends
    tools    the model calls these, ``[NAME, INPUT]`` each, in one turn
    usage    the four token counts, else ``USAGE``
    delay    seconds to wait before the answer
    gate     wait before the answer until ``DIRECTORY/KEY.open`` is there; ``DIRECTORY/KEY.waits`` says so
    fail     statuses to answer with first, one for each attempt, before the answer above
    seek     a text to look for in the request

``DIRECTORY/served.jsonl`` receives one line for each answer: ``key``, ``step``, ``status``, ``model``,
``usage``, ``request_id``, ``found``: whether the request held what was sought, and ``results``: what the
tools of the turn before gave the model, ``[IS ERROR, TEXT]`` each. A request that no script foresees is
answered with status 400 and a line whose step is ``null``, so that a test sees it.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

USAGE = {
    "input_tokens": 1000,
    "output_tokens": 500,
    "cache_read_input_tokens": 3000,
    "cache_creation_input_tokens": 2000,
}
KEY = re.compile(r"\[\[([a-z0-9-]+)\]\]")


class NoScriptError(Exception):
    """The request belongs to no script, or goes past its end."""


class Scripts:
    """The scripts of one directory, and how often each of their steps was asked for."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.attempts: dict[tuple[str, int], int] = {}
        self.lock = threading.Lock()

    def step(self, key: str, turn: int) -> tuple[dict[str, Any], int]:
        """Return the step that answers turn ``turn``, and the status of this attempt at it."""
        path = self.directory / f"{key}.json"
        if not path.exists():
            msg = f"there is no script {key!r}"
            raise NoScriptError(msg)
        steps = json.loads(path.read_text())
        if turn >= len(steps):
            msg = f"script {key!r} has {len(steps)} steps, and turn {turn} was asked for"
            raise NoScriptError(msg)
        with self.lock:
            attempt = self.attempts.get((key, turn), 0)
            self.attempts[key, turn] = attempt + 1
        failures = steps[turn].get("fail", [])
        return steps[turn], failures[attempt] if attempt < len(failures) else 200

    def wait(self, key: str) -> None:
        """Say that a conversation waits, and wait until it may go on."""
        (self.directory / f"{key}.waits").touch()
        gate = self.directory / f"{key}.open"
        while not gate.exists():
            time.sleep(0.1)

    def served(self, **line: object) -> None:
        """Write down one answer."""
        with self.lock, (self.directory / "served.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


def key_of(messages: list[dict[str, Any]]) -> str:
    """Return the key that the conversation's own messages name first; what tools returned is not searched."""
    for message in messages:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for block in blocks:
            found = KEY.search(block["text"]) if block.get("type") == "text" else None
            if message["role"] == "user" and found:
                return found[1]
    raise NoScriptError("the conversation names no key")


def results_of(messages: list[dict[str, Any]]) -> list[list[Any]]:
    """Return what tools brought since the model spoke last; the client may add messages of its own."""
    newest: list[dict[str, Any]] = []
    for message in messages:
        newest = [] if message["role"] == "assistant" else [*newest, message]
    contents = [message["content"] for message in newest if isinstance(message["content"], list)]
    return [
        [bool(block.get("is_error")), json.dumps(block.get("content"))]
        for content in contents
        for block in content
        if block.get("type") == "tool_result"
    ]


def blocks_of(step: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the content blocks of the answer that a step scripts."""
    if "text" in step:
        return [{"type": "text", "text": step["text"]}]
    return [
        {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:24]}", "name": name, "input": tool_input}
        for name, tool_input in step["tools"]
    ]


def stream(message: dict[str, Any]) -> str:
    """Return a whole message as the events that a streaming client reads."""
    start = {**message, "content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(message["content"]):
        if block["type"] == "text":
            empty, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            empty = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        events += [
            {"type": "content_block_start", "index": index, "content_block": empty},
            {"type": "content_block_delta", "index": index, "delta": delta},
            {"type": "content_block_stop", "index": index},
        ]
    stop = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    events += [{"type": "message_delta", "delta": stop, "usage": message["usage"]}, {"type": "message_stop"}]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


class Handler(BaseHTTPRequestHandler):
    """Answers what the client asks; ``scripts`` is set by :func:`main`."""

    protocol_version = "HTTP/1.1"
    scripts: Scripts

    def log_message(self, *_: object) -> None:
        """Say nothing: ``served.jsonl`` says it all."""

    def answer(self, status: int, body: str, *, kind: str = "application/json", request_id: str = "") -> None:
        """Send one complete answer."""
        data = body.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        if request_id:
            self.send_header("request-id", request_id)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        """Answer anything but a message with nothing in particular."""
        self.answer(200, "{}")

    def do_HEAD(self) -> None:
        """Say that the stand-in is there."""
        self.answer(200, "")

    def do_POST(self) -> None:
        """Answer one turn of a conversation."""
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        if not self.path.partition("?")[0].endswith("/v1/messages"):
            self.answer(200, '{"input_tokens": 100}' if "count_tokens" in self.path else "{}")
            return
        request = json.loads(raw)
        request_id = f"req_{uuid.uuid4().hex}"
        turn = sum(message["role"] == "assistant" for message in request["messages"])
        line: dict[str, Any] = {"model": request["model"], "request_id": request_id}
        line["results"] = results_of(request["messages"])
        try:
            key = key_of(request["messages"])
            step, status = self.scripts.step(key, turn)
        except NoScriptError as error:
            self.scripts.served(key=None, step=None, status=400, usage={}, error=str(error), **line)
            self.fail(400, "invalid_request_error", str(error), request_id)
            return
        time.sleep(step.get("delay", 0))
        if step.get("gate"):
            self.scripts.wait(key)
        usage = step.get("usage", USAGE) if status == 200 else {}
        line["found"] = step.get("seek", "").encode() in raw
        self.scripts.served(key=key, step=turn, status=status, usage=usage, **line)
        if status != 200:
            kind = "overloaded_error" if status == 529 else "api_error"
            self.fail(status, kind, "scripted failure", request_id)
            return
        message = {
            "id": f"msg_{uuid.uuid4().hex[:24]}",
            "type": "message",
            "role": "assistant",
            "model": request["model"],
            "content": blocks_of(step),
            "stop_reason": "end_turn" if "text" in step else "tool_use",
            "stop_sequence": None,
            "usage": usage,
        }
        if request.get("stream"):
            self.answer(200, stream(message), kind="text/event-stream", request_id=request_id)
        else:
            self.answer(200, json.dumps(message), request_id=request_id)

    def fail(self, status: int, kind: str, text: str, request_id: str) -> None:
        """Answer with an error as the API words it."""
        error = {"type": "error", "error": {"type": kind, "message": text}, "request_id": request_id}
        self.answer(status, json.dumps(error), request_id=request_id)


def main() -> None:
    """Serve until killed."""
    Handler.scripts = Scripts(Path(sys.argv[2]))
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()


if __name__ == "__main__":
    main()
