"""Bringing the totals to a Pushgateway, and what happens while it is away."""

import base64
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from claude_code_exporter.config import Pushgateway
from claude_code_exporter.push import Pusher, PushError, delay, group_path

from tests.support.exporter import UID, Exporter, certificate, free_port, header, line, wait_for


class Gateway:
    """A stand-in that notes what is asked of it."""

    def __init__(self, port: int = 0, *, certificate: Path | None = None) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.status = 200
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                gateway.requests.append((self.command, self.path, dict(self.headers), body))
                self.send_response(gateway.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_PUT = do_DELETE = answer  # noqa: N815 # names of the standard library

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    yield made
    made.close()


def test_the_whole_group_is_put_under_job_and_instance(gateway: Gateway) -> None:
    pusher = Pusher(Pushgateway(gateway.url), "dev 1", lambda: [b"metric ", b"1\n"])
    assert pusher.push() is True
    method, path, headers, body = gateway.requests[0]
    assert (method, path, body) == ("PUT", "/metrics/job/claude_code/instance/dev%201", b"metric 1\n")
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert pusher.last_success > 0


@pytest.mark.parametrize(
    ("instance", "path"),
    [
        ("dev-1", "instance/dev-1"),
        ("a/b", "instance@base64/YS9i"),
        ("..", "instance@base64/Li4"),
        ("a?b#c", "instance/a%3Fb%23c"),
        ("ü", "instance/%C3%BC"),
    ],
)
def test_an_instance_may_have_any_name(instance: str, path: str) -> None:
    assert group_path(instance) == f"/metrics/job/claude_code/{path}"


def test_a_gateway_below_a_path_is_reached_there(gateway: Gateway) -> None:
    Pusher(Pushgateway(gateway.url + "/push/"), "dev", list).delete()
    assert gateway.requests[0][:2] == ("DELETE", "/push/metrics/job/claude_code/instance/dev")


def test_tls_and_password_are_used_and_the_authority_is_checked(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    gateway = Gateway(certificate=pem)
    try:
        trusting = Pushgateway(gateway.url, "push", password, ca_file=pem)
        assert Pusher(trusting, "dev", list).push() is True
        basic = "Basic " + base64.b64encode(b"push:correct horse").decode()
        assert gateway.requests[0][2]["Authorization"] == basic
        with pytest.raises(PushError, match=r"cannot be reached: .*self-signed certificate"):
            Pusher(Pushgateway(gateway.url, "push", password), "dev", list).delete()
    finally:
        gateway.close()


def test_each_failure_is_counted_and_the_first_in_a_row_logged(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.status = 503
    pusher = Pusher(Pushgateway(gateway.url), "dev", list)
    assert [pusher.push(), pusher.push()] == [False, False]
    gateway.status = 202
    assert pusher.push() is True
    assert [pusher.failures, len(gateway.requests)] == [2, 3]
    assert [record.getMessage() for record in caplog.records] == [
        (
            f"the Pushgateway {gateway.url} answered 503 Service Unavailable: ; "
            "the totals are kept and pushed when it answers"
        ),
        f"the Pushgateway {gateway.url} answers again",
    ]


def test_nobody_there_is_one_sentence() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(PushError, match=f"the Pushgateway {url} cannot be reached: "):
        Pusher(Pushgateway(url), "dev", list).delete()


def test_pushes_back_off_to_five_minutes_and_are_spread() -> None:
    assert [delay(15, failures, chance=0.5) for failures in (0, 1, 2, 3, 4, 5, 99)] == pytest.approx(
        [15, 30, 60, 120, 240, 300, 300]
    )
    assert [delay(15, 0, chance=chance) for chance in (0, 1)] == pytest.approx([13.5, 16.5])
    assert delay(900, 3, chance=0.5) == pytest.approx(900)


def test_nothing_is_lost_while_the_gateway_is_away_and_the_last_push_has_all(tmp_path: Path) -> None:
    port = free_port()
    settings = {"url": f"http://127.0.0.1:{port}", "interval": 1}
    with Exporter(tmp_path, transport="pushgateway", pushgateway=settings) as exporter:
        journal = exporter.journals / f"{UID}.jsonl"
        journal.write_bytes(header() + line("UserPromptSubmit") * 3)
        wait_for(lambda: exporter.total("claude_code_exporter_push_failures_total"), "a failed push")
        assert exporter.total("claude_code_exporter_last_push_timestamp_seconds") == 0
        gateway = Gateway(port)
        try:
            wait_for(lambda: gateway.requests, "a push")
            assert b"\nclaude_code_prompts_total{" in gateway.requests[-1][3]
            assert exporter.total("claude_code_exporter_last_push_timestamp_seconds") > 0
            with journal.open("ab") as file:
                file.write(line("UserPromptSubmit"))
            assert exporter.stop() == 0
            pushed = gateway.requests[-1][3].decode()
            prompts = next(one for one in pushed.splitlines() if one.startswith("claude_code_prompts_total"))
            assert prompts.endswith(" 4")
        finally:
            gateway.close()


def test_a_host_that_is_taken_out_removes_its_group(tmp_path: Path, gateway: Gateway) -> None:
    exporter = Exporter(tmp_path, transport="pushgateway", pushgateway={"url": gateway.url})
    done = exporter.run("--delete-group")
    assert (done.returncode, done.stderr) == (0, "")
    assert gateway.requests[0][:2] == ("DELETE", "/metrics/job/claude_code/instance/dev-1")


def test_a_group_that_cannot_be_removed_is_named_with_the_command_that_does(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = Exporter(tmp_path, transport="pushgateway", pushgateway={"url": url + "/"}).run("--delete-group")
    assert done.returncode == 1
    assert done.stderr.endswith(
        f"; this host's numbers are still there: delete them by "
        f"curl -X DELETE {url}/metrics/job/claude_code/instance/dev-1\n"
    )
