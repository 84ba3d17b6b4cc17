"""The listener of `/metrics` off loopback: TLS, a user with a password, and nobody who can break it."""

import base64
import http.client
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.exporter import Exporter, certificate, wait_for


class Secured:
    """An exporter whose page asks for a user, and its authority."""

    def __init__(self, directory: Path) -> None:
        pem = certificate(directory)
        password = directory / "password"
        password.write_text("correct horse\n")
        web = {"cert_file": str(pem), "key_file": str(pem), "users": {"exporter": str(password)}}
        self.exporter = Exporter(directory, web_config=web)
        self.context = ssl.create_default_context(cafile=str(pem))
        self.exporter.start(ready=False)
        wait_for(lambda: self.status("exporter:correct horse", "/-/ready") == 200, "readiness")

    def status(self, pair: str | None, path: str = "/metrics") -> int:
        headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()} if pair else {}
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.exporter.port, timeout=10, context=self.context
        )
        try:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    made = Secured(tmp_path_factory.mktemp("web"))
    yield made
    made.exporter.close()


def test_who_knows_the_password_is_let_in(secured: Secured) -> None:
    assert secured.status("exporter:correct horse") == 200


@pytest.mark.parametrize("pair", [None, "", "exporter:", "exporter:wrong", "other:correct horse", "exporter"])
def test_who_does_not_is_not(secured: Secured, pair: str | None) -> None:
    assert secured.status(pair) == 401


def test_what_is_no_tls_costs_a_connection_and_no_worker(secured: Secured) -> None:
    for garbage in (b"GET /metrics HTTP/1.1\r\n\r\n", b"", b"\x16\x03\x01\x00", b"\x00" * 100) * 3:
        with socket.create_connection(("127.0.0.1", secured.exporter.port), timeout=10) as client:
            client.sendall(garbage)
    assert secured.status("exporter:correct horse") == 200
    assert secured.exporter.said() == ""


def test_a_client_that_never_shakes_hands_keeps_nobody_waiting(secured: Secured) -> None:
    with socket.create_connection(("127.0.0.1", secured.exporter.port), timeout=10):
        assert secured.status("exporter:correct horse") == 200


def test_the_selfcheck_goes_through_tls_and_password(secured: Secured) -> None:
    done = secured.exporter.run("--selfcheck", "10")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    (tmp_path / "password").write_text("x")
    web = {
        "cert_file": str(tmp_path / "bad.pem"),
        "key_file": str(tmp_path / "bad.pem"),
        "users": {"exporter": str(tmp_path / "password")},
    }
    done = Exporter(tmp_path, web_config=web).run()
    assert done.returncode == 1
    assert f"the certificate {tmp_path}/bad.pem or its key cannot be used" in done.stderr
