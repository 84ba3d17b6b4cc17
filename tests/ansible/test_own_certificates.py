"""Certificates of an organisation's own authority: with good ones all is well, bad ones change nothing."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.support.plays import container, docker_host, play
from tests.support.promql import Prometheus, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.machine import Machine
    from tests.support.plays import Played
    from tests.support.promql import Vector

pytestmark = pytest.mark.timeout(900)

ROLES = ["trust", "prometheus", "pushgateway", "claude_exporter"]
PORTS = {"prometheus": 9090, "pushgateway": 9091, "claude_code": 9468}
NOW = dt.datetime.now(tz=dt.UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Issuer:
    """An authority as organisations have them: RSA, with a name of their own."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    def pem(self) -> bytes:
        """Return its certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str, names: list[str], *, days: int, ca: bool = False) -> Issuer:
        """Issue a certificate that ends in so many days, of an authority below this one or of a host."""
        key = rsa.generate_private_key(65537, 2048)
        return Issuer(key, sign(key, name, names, days=days, ca=ca, by=self))


def sign(
    key: rsa.RSAPrivateKey, name: str, names: list[str], *, days: int, ca: bool, by: Issuer | None
) -> x509.Certificate:
    """Return a certificate, by itself where no issuer is given."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = by.certificate.subject if by else subject
    begin, end = NOW - dt.timedelta(days=100), NOW + dt.timedelta(days=days)
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(begin).not_valid_after(end)
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    # What OpenSSL insists on where it is strict, as Python 3.13 has it.
    if by:
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False
        )
    if ca:
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(usage, critical=True).add_extension(identifier, critical=False)
    if names:
        found: list[x509.GeneralName] = []
        for each in names:
            try:
                found.append(x509.IPAddress(ipaddress.ip_address(each)))
            except ValueError:
                found.append(x509.DNSName(each))
        builder = builder.add_extension(x509.SubjectAlternativeName(found), critical=False)
    return builder.sign(by.key if by else key, hashes.SHA256())


def authority(name: str) -> Issuer:
    key = rsa.generate_private_key(65537, 2048)
    return Issuer(key, sign(key, name, [], days=1000, ca=True, by=None))


@dataclass(frozen=True)
class Desk:
    """Where the operator keeps the organisation's files, and the host they are for."""

    machine: Machine
    directory: Path
    root: Issuer

    @property
    def names(self) -> list[str]:
        """The names by which others, and its own services, know the host."""
        return [self.machine.name, "localhost", "127.0.0.1"]

    def files(
        self, name: str, host: Issuer, *, chain: bytes = b"", key: Issuer | None = None
    ) -> dict[str, str]:
        """Write a set of files, the key as older tools do; return the variables that name them."""
        own = (key or host).key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        texts = {"ca": self.root.pem(), "certificate": host.pem() + chain, "key": own}
        for part, text in texts.items():
            (self.directory / f"{name}-{part}.pem").write_bytes(text)
        return {f"trust_{part}_file": str(self.directory / f"{name}-{part}.pem") for part in texts}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Yield the operator's desk, and a host without anything of ours."""
    with container("ccpo-debian13-systemd", systemd=True) as machine:
        yield Desk(machine, tmp_path_factory.mktemp("own"), authority("Example Root"))


CASES = {
    "pair": "pair: trust_key_file is not the key of trust_certificate_file",
    "ended": f"ended: trust_certificate_file is good from {NOW - dt.timedelta(days=100):%Y-%m-%d} to",
    "name": "name: trust_certificate_file does not name {machine}, by which its clients know the host",
    "loopback": "loopback: trust_certificate_file does not name 127.0.0.1, by which its clients know",
    "issuer": "issuer: trust_certificate_file was issued by no authority in trust_ca_file",
    "missing": "/nowhere.pem is not on the machine you deploy from",
}


@pytest.fixture(scope="module")
def refused(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    """Play all of it with each set of bad files, every case a host of its own in the same container."""
    root, names = desk.root, desk.names
    good = root.issue("host", names, days=90)
    cases: dict[str, dict[str, Any]] = {
        "pair": desk.files("pair", good, key=root),
        "ended": desk.files("ended", root.issue("host", names, days=-1)),
        "name": desk.files("name", root.issue("host", ["other.example.com", *names[1:]], days=90)),
        "loopback": desk.files("loopback", root.issue("host", names[:2], days=90)),
        "issuer": desk.files("issuer", authority("Another Root").issue("host", names, days=90)),
        "missing": {**desk.files("missing", good), "trust_key_file": str(desk.directory / "nowhere.pem")},
    }
    hosts = {name: docker_host(desk.machine, **files) for name, files in cases.items()}
    return play(tmp_path_factory.mktemp("refused"), hosts, roles=ROLES)


@pytest.mark.parametrize("name", CASES)
def test_files_that_clients_would_refuse_change_nothing(
    desk: Desk, refused: dict[str, Played], name: str
) -> None:
    assert CASES[name].format(machine=desk.machine.name) in refused[name].failure
    assert refused[name].changed == 0


def test_with_certificates_of_ones_own_everybody_speaks_and_knows_their_end(
    desk: Desk, refused: dict[str, Played], tmp_path: Path
) -> None:
    assert refused
    between = desk.root.issue("Example Issuing", [], days=500, ca=True)
    host = between.issue("host", desk.names, days=90)
    variables = {
        **desk.files("good", host, chain=between.pem()),
        "trust_enabled": True,
        "claude_exporter_transport": "scrape",
        "prometheus_scrape_interval": "1s",
        "prometheus_evaluation_interval": "1s",
        "prometheus_alertmanagers": [],
    }
    hosts = {"one": docker_host(desk.machine, **variables)}
    assert play(tmp_path, hosts, roles=ROLES)["one"].failure == ""

    own = desk.directory / "good-ca.pem"
    password = (tmp_path / ".trust/passwords/prometheus").read_text().strip()
    address = desk.machine.address()
    prometheus = Prometheus(Service(desk.machine.name, address, 9090, own, "prometheus", password))
    up: Vector = {(job,): 1.0 for job in PORTS}
    assert prometheus.eventually("up", "job", expected=up, seconds=30) == up
    ends: Vector = {
        ("", "host"): (NOW + dt.timedelta(days=90)).timestamp(),
        ("", "ca"): (NOW + dt.timedelta(days=1000)).timestamp(),
    }
    ends |= {("claude_code", name): end for (_, name), end in ends.items()}
    metric = "claude_code_certificate_expiry_timestamp_seconds"
    assert prometheus.eventually(metric, "job", "certificate", expected=ends, seconds=30) == ends

    shown = {ssl.get_server_certificate((address, port)) for port in PORTS.values()}
    assert shown == {host.pem().decode()}
