"""OTLP over HTTP: what a body must be before the ledger sees it, and how the client is answered."""

from __future__ import annotations

import hashlib
import importlib
import json
import time
import zlib
from threading import Lock
from typing import TYPE_CHECKING, Any

from meter.ledger import Malformed

from claude_code_exporter.keeper import FAULTS, BusyError
from claude_code_exporter.server import reply

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from meter.ledger import Ledger, Outcome

    from claude_code_exporter.keeper import Keeper

LARGEST_BODY = 4 * 1024 * 1024
"""Bytes of a body, as sent and as inflated."""
ANSWER_WITHIN = 8.0
JSON = "application/json"
PROTOBUF = "application/x-protobuf"
SIGNALS = {"/v1/metrics": ("metrics", "rejectedDataPoints"), "/v1/logs": ("logs", "rejectedLogRecords")}


class RefusedError(Exception):
    """A request that is not counted: its HTTP status, the reason it is counted under, and what to do."""

    def __init__(self, status: str, reason: str, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason
        self.headers = headers


class Receiver:
    """The WSGI application of `/v1/metrics` and `/v1/logs`."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        # One body at a time is decoded: a large one takes many times its size in memory.
        self._decoding = Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; what is answered with 200 is in the ledger."""
        try:
            signal, rejected_key = _signal(environ)
            kind = _kind(environ)
            body = _body(environ)
            with self._decoding:
                outcome = self._count(signal, kind, body, environ.get("HTTP_CONTENT_ENCODING", ""))
        except RefusedError as refusal:
            if refusal.reason:
                self._note(refusal.reason)
            text = json.dumps({"message": str(refusal)}).encode()
            return reply(start_response, refusal.status, text, JSON, **refusal.headers)
        except (BusyError, *FAULTS):
            text = json.dumps({"message": "the exporter cannot store this now; send it again"}).encode()
            return reply(start_response, "503 Service Unavailable", text, JSON, Retry_After="5")
        answer: dict[str, Any] = {}
        if outcome.rejected:
            reasons = ", ".join(f"{reason} ({count})" for reason, count in sorted(outcome.rejected.items()))
            answer = {
                "partialSuccess": {rejected_key: str(sum(outcome.rejected.values())), "errorMessage": reasons}
            }
        if kind == PROTOBUF:
            return reply(start_response, "200 OK", _protobuf_answer(signal, answer), PROTOBUF)
        return reply(start_response, "200 OK", json.dumps(answer).encode(), JSON)

    def _count(self, signal: str, kind: str, body: bytes, encoding: str) -> Outcome:
        body = inflate(body, encoding)
        payload = decode_json(body) if kind == JSON else decode_protobuf(signal, body)
        digest = hashlib.sha256(signal.encode() + b"\0" + body).digest()
        del body
        now = time.time()

        def count(ledger: Ledger) -> Outcome:
            take = ledger.otlp_metrics if signal == "metrics" else ledger.otlp_logs
            return take(payload, digest=digest, now=now)

        try:
            return self._keeper.ask(count, timeout=ANSWER_WITHIN)
        except Malformed as error:
            # The ledger has counted it already.
            raise RefusedError("400 Bad Request", "", f"this is not OTLP: {error}") from error

    def _note(self, reason: str) -> None:
        try:
            self._keeper.ask(lambda ledger: ledger.reject(reason), timeout=ANSWER_WITHIN)
        except (BusyError, *FAULTS):
            return  # the refusal stands all the same; only its count is lost


def _signal(environ: WSGIEnvironment) -> tuple[str, str]:
    path = environ.get("PATH_INFO", "")
    if path not in SIGNALS:
        raise RefusedError("404 Not Found", "otlp_path", "this receiver takes /v1/metrics and /v1/logs")
    if environ["REQUEST_METHOD"] != "POST":
        raise RefusedError("405 Method Not Allowed", "otlp_method", f"send a POST to {path}", Allow="POST")
    if "HTTP_ORIGIN" in environ:
        # Any web page may make a browser of this host post here; no OTLP client sends an Origin.
        raise RefusedError("403 Forbidden", "otlp_origin", "browsers may not write into the numbers")
    return SIGNALS[path]


def _kind(environ: WSGIEnvironment) -> str:
    kind = str(environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()
    if kind == PROTOBUF:
        if _protobuf_classes("metrics") is None:
            raise RefusedError(
                "415 Unsupported Media Type",
                "otlp_protobuf",
                "this host has no classes for protobuf (Debian 13: python3-opentelemetry-proto); "
                "set OTEL_EXPORTER_OTLP_PROTOCOL=http/json",
            )
    elif kind != JSON:
        raise RefusedError(
            "415 Unsupported Media Type",
            "otlp_content_type",
            f"Content-Type must be {JSON}: set OTEL_EXPORTER_OTLP_PROTOCOL=http/json",
        )
    return kind


def _body(environ: WSGIEnvironment) -> bytes:
    """Return the body as sent; one that is too large is read to its end, or the client hears no answer."""
    stream = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH")
    parts: list[bytes] = []
    size = 0
    while part := stream.read(65536):
        size += len(part)
        if size > LARGEST_BODY:
            parts.clear()
        else:
            parts.append(part)
    if size > LARGEST_BODY:
        raise _too_large()
    if length and int(length) != size:
        raise RefusedError(
            "400 Bad Request", "otlp_truncated", f"the body ended after {size} of {length} bytes"
        )
    return b"".join(parts)


def _too_large() -> RefusedError:
    return RefusedError(
        "413 Request Entity Too Large",
        "otlp_too_large",
        f"a body may have {LARGEST_BODY} bytes; lower OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    )


def inflate(body: bytes, encoding: str) -> bytes:
    """Undo the Content-Encoding. Raises RefusedError if it is unknown, damaged, or expands past the limit."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise RefusedError(
            "415 Unsupported Media Type", "otlp_encoding", "only gzip is known as Content-Encoding"
        )
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(body, LARGEST_BODY + 1)
    except zlib.error as error:
        raise RefusedError("400 Bad Request", "otlp_encoding", f"the body is not gzip: {error}") from error
    if len(plain) > LARGEST_BODY:
        raise _too_large()
    if not inflater.eof or inflater.unused_data:
        raise RefusedError("400 Bad Request", "otlp_encoding", "the body is not one whole gzip stream")
    return plain


def decode_json(body: bytes) -> object:
    """Decode a body. Raises RefusedError if it is not JSON (RFC 8259, so no NaN)."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = str(error) or "it nests too deeply"
        raise RefusedError("400 Bad Request", "otlp_json", f"the body is not JSON: {reason}") from error


def _no_constant(name: str) -> object:
    msg = f"{name} is no JSON value"
    raise ValueError(msg)


def _protobuf_classes(signal: str) -> Any | None:
    """Return a signal's module of python3-opentelemetry-proto (Debian 13); None where it is missing."""
    try:
        return importlib.import_module(f"opentelemetry.proto.collector.{signal}.v1.{signal}_service_pb2")
    except (ImportError, TypeError):
        return None


def _message(signal: str, kind: str) -> Any:
    classes = _protobuf_classes(signal)
    return getattr(classes, f"Export{signal.capitalize()}Service{kind}")()


def decode_protobuf(signal: str, body: bytes) -> object:
    """Decode a protobuf body into what the same export looks like in OTLP/JSON. Raises RefusedError."""
    formats = importlib.import_module("google.protobuf.json_format")
    message = _message(signal, "Request")
    try:
        message.ParseFromString(body)
        return formats.MessageToDict(message, use_integers_for_enums=True)
    except Exception as error:
        # Its exceptions differ between the runtimes; whatever it is, the body was not decoded.
        raise RefusedError(
            "400 Bad Request", "otlp_protobuf", f"the body is not protobuf: {error}"
        ) from error


def _protobuf_answer(signal: str, answer: dict[str, Any]) -> bytes:
    formats = importlib.import_module("google.protobuf.json_format")
    encoded: bytes = formats.ParseDict(answer, _message(signal, "Response")).SerializeToString()
    return encoded
