"""Certificates of one's own: what clients would refuse is named before anybody is told of it."""

from __future__ import annotations

import datetime as dt

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from plugins.action.trust_store import Authority, Terms, new_authority, new_certificate, pem, pem_key
from plugins.filter.certificates import certificate_rules, own_certificate_fault

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TERMS = Terms(ca_days=100, certificate_days=30, renew_days=1)
AUTHORITY, OTHER = (new_authority(TERMS, now=NOW) for _ in range(2))
KEY = ec.generate_private_key(ec.SECP256R1())
NAMES = ["monitor.example.com", "10.0.0.7", "*.lab.example.com"]
# It may not sign for others, which is for clients to find.
BETWEEN = ec.generate_private_key(ec.SECP256R1())
MIDDLE = Authority(BETWEEN, new_certificate(AUTHORITY, BETWEEN.public_key(), ["middle"], TERMS, now=NOW))


def issued(authority: Authority = AUTHORITY) -> str:
    """Return the host's certificate of an authority, in PEM."""
    return pem(new_certificate(authority, KEY.public_key(), NAMES, TERMS, now=NOW)).decode()


CHAIN = issued(MIDDLE) + pem(MIDDLE.certificate).decode()


def fault(
    *,
    ca: str = pem(AUTHORITY.certificate).decode(),
    certificate: str = issued(),
    key: str = pem_key(KEY).decode(),
    names: tuple[str, ...] = ("monitor.example.com",),
    now: dt.datetime = NOW,
) -> str:
    texts = {"ca": ca, "certificate": certificate, "key": key}
    return own_certificate_fault(texts, names=names, loopback=True, now=now.isoformat())


@pytest.mark.parametrize("names", [(NAMES[0],), (NAMES[1],), ("nobody", "a.LAB.example.com"), ()])
def test_what_clients_would_take_has_no_fault(names: tuple[str, ...]) -> None:
    assert fault(names=names) == ""
    assert fault(names=names, certificate=CHAIN) == ""
    assert fault(names=names, ca=pem(OTHER.certificate).decode() + pem(AUTHORITY.certificate).decode()) == ""


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"certificate": "-"}, "trust_certificate_file holds no certificate in PEM"),
        ({"ca": pem_key(KEY).decode()}, "trust_ca_file holds no certificate in PEM"),
        ({"key": issued()}, "trust_key_file holds no private key in PEM"),
        (
            {"key": pem_key(BETWEEN).decode()},
            "trust_key_file is not the key of trust_certificate_file: name two that were made together.",
        ),
        (
            {"now": NOW + dt.timedelta(days=31)},
            "trust_certificate_file is good from 2025-12-31 to 2026-01-31, which is not now (CN=monitor.ex",
        ),
        (
            {"now": NOW - dt.timedelta(days=1)},
            "trust_certificate_file is good from 2025-12-31 to 2026-01-31, which is not now (CN=monitor.ex",
        ),
        (
            {"certificate": issued(OTHER)},
            "trust_certificate_file was issued by no authority in",
        ),
        (
            {"certificate": issued(MIDDLE)},
            "trust_certificate_file was issued by no authority in",
        ),
        ({"names": ("10.0.0.8", "a.b.lab.example.com")}, "does not name 10.0.0.8 or a.b.lab.example.com, by"),
    ],
)
def test_what_clients_would_refuse_is_said_in_a_sentence(given: dict[str, object], sentence: str) -> None:
    assert sentence in fault(**given)  # type: ignore[arg-type]


def test_an_authority_that_has_ended_is_named_as_such() -> None:
    there = AUTHORITY.certificate
    builder = x509.CertificateBuilder(
        there.subject,
        there.subject,
        there.public_key(),
        there.serial_number,
        NOW - dt.timedelta(days=2),
        NOW - dt.timedelta(days=1),
        list(there.extensions),
    )
    ended = builder.sign(AUTHORITY.key, hashes.SHA256())
    said = fault(ca=pem(ended).decode())
    assert said.startswith(
        "trust_ca_file is good from 2025-12-30 to 2025-12-31, which is not now (CN=internal CA"
    )


def test_prometheus_is_told_the_first_end_of_a_chain_and_the_last_of_the_authorities() -> None:
    late = new_authority(Terms(200, 1, 1), now=NOW)
    texts = {
        "host": pem(late.certificate).decode() + issued(),
        "ca": "".join(pem(each.certificate).decode() for each in (late, AUTHORITY)),
    }
    (group,) = yaml.safe_load(certificate_rules(texts, "monitor"))["groups"]
    name, day = "claude_code_certificate_expiry_timestamp_seconds", 86400
    begin = int(NOW.timestamp())
    assert group["rules"] == [
        {
            "record": name,
            "expr": f"vector({begin + days * day})",
            "labels": {"certificate": certificate, "instance": "monitor"},
        }
        for certificate, days in (("ca", 200), ("host", 30))
    ]
