"""When the host's certificates end: the exporter's own reader says what a library for X.509 says."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from claude_code_exporter.certificates import expiries

from plugins.action.trust_store import Terms, new_authority, new_certificate, pem
from tests.support.exporter import Exporter

if TYPE_CHECKING:
    from pathlib import Path

METRIC = "claude_code_certificate_expiry_timestamp_seconds"
# Times up to 2049 are written with two digits of the year, later ones with four (RFC 5280, 4.1.2.5).
ENDS = ["1999-12-31T23:59:59", "2026-11-30T12:00:01", "2049-12-31T23:59:59", "2050-01-01T00:00:00"]


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def authority(end: str) -> bytes:
    """Return the certificate of an authority that ends then."""
    return pem(new_authority(Terms(30, 1, 1), now=moment(end) - dt.timedelta(days=30)).certificate)


def certificate(end: str, *, name: str = "dev-1") -> bytes:
    """Return a host's certificate that ends then."""
    now = moment(end) - dt.timedelta(days=7)
    issuer = new_authority(Terms(30, 7, 1), now=now)
    return pem(new_certificate(issuer, issuer.key.public_key(), [name], Terms(30, 7, 1), now=now))


@pytest.mark.parametrize("end", ENDS)
def test_a_certificate_ends_when_it_says(tmp_path: Path, end: str) -> None:
    (tmp_path / "host.crt").write_bytes(certificate(end, name="a long name." * 20 + "example.com"))
    assert expiries({"host": tmp_path / "host.crt"}) == {"host": moment(end).timestamp()}


def test_a_chain_ends_with_its_first_link_and_trust_with_its_last_authority(tmp_path: Path) -> None:
    early, late = ENDS[1:3]
    both = tmp_path / "both.pem"
    both.write_bytes("# Zürich\n".encode() + certificate(late) + b"between\n" + authority(early))
    assert expiries({"host": both, "ca": both}) == {
        "host": moment(early).timestamp(),
        "ca": moment(late).timestamp(),
    }


def test_what_is_no_certificate_has_no_end(tmp_path: Path) -> None:
    broken = tmp_path / "broken.crt"
    broken.write_bytes(certificate(ENDS[1])[:200] + b"\n-----END CERTIFICATE-----\n")
    assert expiries({"host": broken, "ca": tmp_path / "missing.crt"}) == {}


def test_a_renewed_certificate_is_seen_without_a_restart(tmp_path: Path) -> None:
    host, ca = tmp_path / "host.crt", tmp_path / "ca.crt"
    host.write_bytes(certificate(ENDS[1]))
    ca.write_bytes(authority(ENDS[2]))
    given = {"host": str(host), "ca": str(ca)}
    with Exporter(tmp_path, certificates=given, labels={"team": "data"}) as exporter:

        def shown() -> dict[str, float]:
            return {dict(labels)["certificate"]: end for labels, end in exporter.values()[METRIC].items()}

        assert shown() == {"host": moment(ENDS[1]).timestamp(), "ca": moment(ENDS[2]).timestamp()}
        host.write_bytes(certificate(ENDS[3]))
        assert shown() == {"host": moment(ENDS[3]).timestamp(), "ca": moment(ENDS[2]).timestamp()}
        host.unlink()
        assert shown() == {"ca": moment(ENDS[2]).timestamp()}


def test_a_host_without_certificates_shows_none(tmp_path: Path) -> None:
    with Exporter(tmp_path, certificates={"host": "", "ca": ""}) as exporter:
        assert METRIC not in exporter.values()
