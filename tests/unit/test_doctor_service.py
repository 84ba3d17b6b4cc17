"""How the doctor tells apart why a service cannot be used: against real sockets, real TLS, real refusals."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from claude_code_doctor.arrival import clock
from claude_code_doctor.service import Door, ask, judge
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.exporter import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = dt.timedelta(days=1)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == "Basic YW5uOnNlY3JldA=="  # ann:secret
        self.send_response({"/open": 200, "/closed": 200 if known else 401}.get(self.path, 503))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def service(*, certificate: Path | None = None) -> Iterator[str]:
    """Serve on a free port, with TLS if there is a certificate; gives the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def make(
    path: Path, *, address: str = "127.0.0.1", begins: dt.timedelta = -DAY, ends: dt.timedelta = DAY
) -> Path:
    """Make a certificate that vouches for itself, with its key in the same file; times are from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False
        )
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + private)
    return path


def failed(door: Door, path: str = "/open") -> list[str]:
    """Return the names of the checks that fail."""
    return [finding.name for finding in judge("gateway", door, ask(door, path)) if finding.state == "fail"]


def test_a_name_that_leads_nowhere() -> None:
    assert failed(Door("http://no-such-host.invalid:9091")) == ["gateway-found"]


def test_a_port_where_nobody_listens() -> None:
    assert failed(Door(f"http://127.0.0.1:{free_port()}")) == ["gateway-answers"]


def test_an_answer_that_is_an_error() -> None:
    with service() as url:
        assert failed(Door(url), "/elsewhere") == ["gateway-answers"]


def test_a_service_that_is_well() -> None:
    with service() as url:
        assert failed(Door(url)) == []


@pytest.mark.parametrize(
    ("made", "trusted", "name"),
    [
        ({}, True, []),
        ({}, False, ["gateway-trusted"]),
        ({"address": "127.0.0.2"}, True, ["gateway-trusted"]),
        ({"begins": -2 * DAY, "ends": -DAY}, True, ["gateway-unexpired"]),
        ({"begins": DAY, "ends": 2 * DAY}, True, ["gateway-unexpired"]),
    ],
    ids=["sound", "not-ours", "another-host's", "expired", "not-yet"],
)
def test_certificates(tmp_path: Path, made: dict[str, dt.timedelta], trusted: bool, name: list[str]) -> None:  # noqa: FBT001
    certificate = make(tmp_path / "server.pem", **made)  # type: ignore[arg-type] # address is among them
    authority = certificate if trusted else make(tmp_path / "other.pem")
    with service(certificate=certificate) as url:
        assert failed(Door(url, ca_file=authority)) == name


@pytest.mark.parametrize(
    ("password", "names"),
    [
        ("secret\n", []),
        ("wrong\n", ["gateway-credentials"]),
        ("", ["gateway-credentials"]),
        (None, ["gateway-credentials"]),
    ],
    ids=["right", "wrong", "empty", "missing"],
)
def test_passwords(tmp_path: Path, password: str | None, names: list[str]) -> None:
    file = tmp_path / "password"
    if password is not None:
        file.write_text(password)
    with service() as url:
        assert failed(Door(url, "ann", file), "/closed") == names


def test_nobody_is_asked_twice_after_a_failure() -> None:
    door = Door("https://no-such-host.invalid:9091")
    found = {finding.name: finding.state for finding in judge("gateway", door, ask(door, "/open"))}
    assert found == {
        "gateway-found": "fail",
        "gateway-answers": "unseen",
        "gateway-trusted": "unseen",
        "gateway-unexpired": "unseen",
        "gateway-credentials": "unseen",
    }


def test_the_clock_of_a_service_on_this_host_is_ours() -> None:
    with service() as url:
        skew = ask(Door(url), "/open").skew
    assert skew is not None
    assert abs(skew) < 5


@pytest.mark.parametrize(
    ("skew", "state", "detail"),
    [
        (1.0, "ok", "as that of Prometheus"),
        (-30.0, "ok", "as that of Prometheus"),
        (31.0, "fail", "Prometheus is 31 s ahead of this host"),
        (-86400.0, "fail", "Prometheus is 86400 s behind this host"),
        (None, "unseen", "no service told the time"),
    ],
)
def test_clocks(skew: float | None, state: str, detail: str) -> None:
    found = clock({"Prometheus": skew})
    assert (found.state, found.detail) == (state, detail)
