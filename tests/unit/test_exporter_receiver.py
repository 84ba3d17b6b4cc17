"""What the receiver of OTLP takes, and how it answers what it does not take."""

import contextlib
import gzip
import importlib
import io
import json
import socket
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from threading import Thread

import pytest
from claude_code_exporter.keeper import Keeper
from claude_code_exporter.reader import Journals, user_name
from claude_code_exporter.receiver import LARGEST_BODY, Receiver, RefusedError, decode_protobuf, inflate
from claude_code_exporter.server import LARGEST_HEADER, PATIENCE
from hypothesis import given
from hypothesis import strategies as st
from meter.ledger import Ledger, Malformed, Options

from tests.support.exporter import UID, Exporter, attributes, cost, header, line, request, wait_for

BOMB = gzip.compress(bytes(200 * 1024 * 1024))
REJECTED = "claude_code_exporter_rejected_total"


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    with Exporter(tmp_path_factory.mktemp("receiver"), session_timeout=10) as running:
        yield running


def logs(*events: dict[str, str]) -> bytes:
    records = [
        {"timeUnixNano": str(time.time_ns()), "body": {"stringValue": "x"}, "attributes": attributes(event)}
        for event in events
    ]
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()


def test_metrics_and_logs_are_taken(exporter: Exporter) -> None:
    assert exporter.post("/v1/metrics", cost(0.5))[::2] == (200, b"{}")
    event = {"event.name": "api_request", "session.id": "s1", "model": "m", "cost_usd": "0.5"}
    assert exporter.post("/v1/logs", logs(event))[::2] == (200, b"{}")


def test_no_connection_waits_for_another_export_to_be_closed_under_it(exporter: Exporter) -> None:
    assert exporter.post("/v1/metrics", cost(0.5))[1]["Connection"] == "close"
    assert "Connection" not in exporter.get("/-/healthy")[1]


def test_gzip_is_the_same(exporter: Exporter) -> None:
    body = gzip.compress(cost(0.25))
    assert exporter.post("/v1/metrics", body, Content_Encoding="gzip")[::2] == (200, b"{}")


@pytest.mark.parametrize(
    ("reason", "status", "says", "body", "headers"),
    [
        ("otlp_json", 400, "the body is not JSON: Expecting value", b"hello", {}),
        ("otlp_json", 400, "the body is not JSON: Expecting value", b"", {}),
        ("otlp_json", 400, "NaN is no JSON value", b'{"resourceMetrics": NaN}', {}),
        ("otlp_json", 400, "the body is not JSON: ", b"[" * 100_000, {}),
        ("otlp_json", 400, "the body is not JSON: ", b'"\xff"', {}),
        ("otlp_encoding", 400, "the body is not gzip", b"hello", {"Content_Encoding": "gzip"}),
        ("otlp_encoding", 400, "one whole gzip", gzip.compress(b"{}")[:-4], {"Content_Encoding": "gzip"}),
        ("otlp_encoding", 400, "one whole gzip", gzip.compress(b"{}") * 2, {"Content_Encoding": "gzip"}),
        ("otlp_encoding", 415, "only gzip is known", zlib.compress(b"{}"), {"Content_Encoding": "deflate"}),
        ("otlp_too_large", 413, "4194304 bytes", b" " * (LARGEST_BODY + 1), {}),
        ("otlp_too_large", 413, "4194304 bytes", b" " * (3 * LARGEST_BODY), {}),
        ("otlp_too_large", 413, "4194304 bytes", BOMB, {"Content_Encoding": "gzip"}),
        ("otlp_content_type", 415, "http/json", b"{}", {"content_type": "text/plain"}),
        ("otlp_origin", 403, "browsers", b"{}", {"Origin": "http://example.com"}),
    ],
    ids=count(),
)
def test_what_is_not_taken_is_answered_with_the_reason_and_counted(
    exporter: Exporter, reason: str, status: int, says: str, body: bytes, headers: dict[str, str]
) -> None:
    before = exporter.total(REJECTED, reason=reason)
    answered, _, text = exporter.post("/v1/metrics", body, **headers)
    assert answered == status
    assert says in json.loads(text)["message"]
    assert exporter.total(REJECTED, reason=reason) == before + 1


@pytest.mark.parametrize(
    "payload", [[], {"resourceMetrics": 5}, "text", {"resourceMetrics": [{"scopeMetrics": 1}]}]
)
def test_json_that_is_not_otlp_is_refused_and_counted(exporter: Exporter, payload: object) -> None:
    before = exporter.total(REJECTED)
    status, _, text = exporter.post("/v1/metrics", json.dumps(payload).encode())
    assert status == 400
    assert json.loads(text)["message"].startswith("this is not OTLP: ")
    assert exporter.total(REJECTED) == before + 1


def test_chunks_are_put_together_and_limited_too(exporter: Exporter) -> None:
    def send(*chunks: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", exporter.otlp_port), timeout=5) as client:
            client.sendall(
                b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for chunk in chunks:
                client.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            client.sendall(b"0\r\n\r\n")
            return client.recv(100).partition(b"\r\n")[0]

    body = cost(0.125)
    assert send(body[:50], body[50:]) == b"HTTP/1.1 200 OK"
    assert send(*[b" " * 500_000] * 9) == b"HTTP/1.1 413 Request Entity Too Large"


def test_other_paths_and_methods_are_refused(exporter: Exporter) -> None:
    assert exporter.post("/v1/traces", b"{}")[0] == 404
    status, headers, _ = request(exporter.otlp_port, "GET", "/v1/metrics")
    assert (status, headers["Allow"]) == (405, "POST")
    assert exporter.total(REJECTED, reason="otlp_path") == 1
    assert exporter.total(REJECTED, reason="otlp_method") == 1


def test_a_running_total_of_no_session_is_refused_and_the_client_told(exporter: Exporter) -> None:
    body = json.loads(cost(1.0))
    metric = body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]
    points = metric["dataPoints"]
    metric["aggregationTemporality"] = 2
    points[0]["attributes"] = [one for one in points[0]["attributes"] if one["key"] != "session.id"]
    before = exporter.total(REJECTED, reason="no_session")
    status, _, text = exporter.post("/v1/metrics", json.dumps(body).encode())
    assert status == 200
    assert json.loads(text)["partialSuccess"] == {"rejectedDataPoints": "1", "errorMessage": "no_session (1)"}
    assert exporter.total(REJECTED, reason="no_session") == before + 1


def test_protobuf_counts_like_json_where_its_classes_are_installed(exporter: Exporter) -> None:
    module = importlib.import_module("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")
    formats = importlib.import_module("google.protobuf.json_format")
    message = formats.ParseDict(json.loads(cost(0.75)), module.ExportMetricsServiceRequest())
    protobuf = "application/x-protobuf"
    status, headers, body = exporter.post("/v1/metrics", message.SerializeToString(), content_type=protobuf)
    assert (status, headers["Content-Type"], body) == (200, protobuf, b"")
    assert exporter.post("/v1/metrics", b"\xff\xff", content_type=protobuf)[0] == 400


FLIPS = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4)


@given(flips=FLIPS, end=st.integers(0, 10_000), packed=st.booleans())
def test_protobuf_damaged_anywhere_is_refused_or_counts_at_most_once(
    flips: list[tuple[int, int]], end: int, *, packed: bool
) -> None:
    module = importlib.import_module("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")
    formats = importlib.import_module("google.protobuf.json_format")
    message = formats.ParseDict(json.loads(cost(0.75)), module.ExportMetricsServiceRequest())
    whole = message.SerializeToString()
    damaged = bytearray(gzip.compress(whole) if packed else whole)
    for place, byte in flips:
        damaged[place % len(damaged)] = byte
    cut = bytes(damaged[: end or None])
    with tempfile.TemporaryDirectory() as directory:
        ledger = Ledger.open(Path(directory) / "ledger.sqlite", options=Options(), now=0)
        with contextlib.suppress(RefusedError, Malformed):
            payload = decode_protobuf("metrics", inflate(cut, "gzip" if packed else ""))
            assert ledger.otlp_metrics(payload, digest=b"1", now=0).accepted <= 1
        ledger.tick(now=10**6, boot_id="boot")
        spent = [family for family in ledger.families(now=0) if family.name == "claude_code_spend_usd_total"]
        values = [sample.value for family in spent for sample in family.samples]
        assert len(values) <= 1
        assert all(0 <= value <= (0.75 if packed or not flips else 10**6) for value in values)
        ledger.close()


def test_protobuf_without_its_classes_is_answered_with_the_setting_that_helps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on Debian 12: asked of the application itself, for this process may forget its classes."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    for name in [name for name in sys.modules if name.startswith("opentelemetry.")]:
        monkeypatch.delitem(sys.modules, name)
    ledger = Ledger.open(tmp_path / "ledger.sqlite", options=Options(), now=0)
    keeper = Keeper(ledger, Journals(tmp_path, ledger), boot_id="boot")
    thread = Thread(target=keeper.run)
    thread.start()
    answers = []
    environ = {
        "PATH_INFO": "/v1/metrics",
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": "application/x-protobuf",
        "wsgi.input": io.BytesIO(b""),
    }
    body = b"".join(Receiver(keeper)(environ, lambda status, _: answers.append(status)))  # type: ignore[arg-type]
    keeper.stop()
    thread.join()
    ledger.close()
    assert answers == ["415 Unsupported Media Type"]
    assert "set OTEL_EXPORTER_OTLP_PROTOCOL=http/json" in json.loads(body)["message"]


def test_headers_have_a_limit(exporter: Exporter) -> None:
    status = exporter.post("/v1/metrics", b"{}", X_Long="x" * (LARGEST_HEADER + 1))[0]
    assert status in (413, 414, 431)


def test_slow_clients_are_hung_up_on_and_keep_nobody_waiting(exporter: Exporter) -> None:
    head = (
        b"POST /v1/metrics HTTP/1.1\r\nHost: x\r\n"
        b"Content-Type: application/json\r\nContent-Length: 99\r\n\r\n"
    )
    silent, dripping, headless = (
        socket.create_connection(("127.0.0.1", exporter.otlp_port), timeout=20) for _ in range(3)
    )
    silent.sendall(head)
    dripping.sendall(head)
    headless.sendall(head[:20])
    assert exporter.post("/v1/metrics", cost(0.0625))[0] == 200
    began = time.monotonic()
    hung_up: set[socket.socket] = set()

    def all_hung_up() -> bool:
        for client in {silent, dripping, headless} - hung_up:
            try:
                if client is dripping:
                    client.send(b" ")
                if client.recv(4096, socket.MSG_DONTWAIT) == b"":
                    hung_up.add(client)
            except BlockingIOError:
                continue
            except ConnectionError:
                hung_up.add(client)
        return len(hung_up) == 3

    wait_for(all_hung_up, "hanging up", seconds=PATIENCE + 10)
    assert time.monotonic() - began < PATIENCE + 5
    for client in (silent, dripping, headless):
        client.close()


def test_the_same_bytes_count_once(tmp_path: Path) -> None:
    with Exporter(tmp_path) as exporter:
        (exporter.journals / f"{UID}.jsonl").write_bytes(header() + line("SessionStart"))
        wait_for(lambda: exporter.total("claude_code_hook_events_total"), "the session's start")
        body = cost(0.5)
        for _ in range(3):
            assert exporter.post("/v1/metrics", body)[0] == 200
        assert exporter.post("/v1/metrics", gzip.compress(body), Content_Encoding="gzip")[0] == 200
        assert exporter.total("claude_code_spend_usd_total", user=user_name(UID), project="shop") == 0.5
