"""Certificates, as texts in PEM: what is wrong with those of an operator's own, and when they end."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING, Any

import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

LOOPBACK = ("localhost", "127.0.0.1")
"""The names by which the services of one host speak with each other."""


def own_certificate_fault(
    texts: Mapping[str, str], *, names: Sequence[str], loopback: bool, now: str = ""
) -> str:
    """Return one sentence about the first thing that is wrong with certificates of one's own, or nothing.

    texts: ``ca``, ``certificate`` (with its chain) and ``key``. names: by one of them others reach the host;
    empty where nobody does. loopback: whether its own services reach it too. now: ISO 8601, UTC.
    """
    try:
        leaf, *chain = _certificates(texts["certificate"])
    except ValueError:
        return "trust_certificate_file holds no certificate in PEM: put the host's there, and its chain."
    try:
        authorities = _certificates(texts["ca"])
    except ValueError:
        return "trust_ca_file holds no certificate in PEM: put the authority's there."
    try:
        public = serialization.load_pem_private_key(texts["key"].encode(), password=None).public_key()
    except (ValueError, TypeError):
        return "trust_key_file holds no private key in PEM that is free of a passphrase: put that there."
    if _raw(public) != _raw(leaf.public_key()):
        return "trust_key_file is not the key of trust_certificate_file: name two that were made together."
    moment = dt.datetime.fromisoformat(now) if now else dt.datetime.now(tz=dt.UTC)
    path = _path(leaf, chain, authorities)
    for each in path or [leaf]:
        begin, end = each.not_valid_before_utc, each.not_valid_after_utc
        if not begin <= moment <= end:
            where = "trust_certificate_file" if each in (leaf, *chain) else "trust_ca_file"
            return (
                f"{where} is good from {begin:%Y-%m-%d} to {end:%Y-%m-%d}, which is not now "
                f"({each.subject.rfc4514_string()}): have it renewed."
            )
    if not path:
        return (
            "trust_certificate_file was issued by no authority in trust_ca_file: name the authority that "
            f"issued it ({leaf.issuer.rfc4514_string()}), or put its chain into trust_certificate_file."
        )
    wanted = [[name] for name in LOOPBACK] if loopback else []
    for any_of in [*([list(names)] if names else []), *wanted]:
        if not any(_is_named(leaf, name) for name in any_of):
            return (
                f"trust_certificate_file does not name {' or '.join(any_of)}, by which its clients know the "
                "host: have one issued that does."
            )
    return ""


def certificate_rules(texts: Mapping[str, str], instance: str) -> str:
    """Return a file of rules that record when certificates end: ``host``, with its chain, and ``ca``.

    Of a chain that is its first end, of several authorities the last one's: while one is followed by
    another, both are trusted.
    """
    rules = []
    for name, text in sorted(texts.items()):
        ends = [int(each.not_valid_after_utc.timestamp()) for each in _certificates(text)]
        rules.append(
            {
                "record": "claude_code_certificate_expiry_timestamp_seconds",
                "expr": f"vector({max(ends) if name == 'ca' else min(ends)})",
                "labels": {"certificate": str(name), "instance": str(instance)},
            }
        )
    groups = {"groups": [{"name": "claude_code_certificates", "rules": rules}]}
    written: str = yaml.safe_dump(groups, sort_keys=False, width=120, allow_unicode=True)
    return f"# Written by Ansible, role trust.\n{written}"


def _certificates(text: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(text.encode())


def _raw(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _path(
    leaf: x509.Certificate, chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Return the certificates from the host's to an authority's, or nothing where they do not meet."""
    path, left = [leaf], list(chain)
    while path[-1] not in authorities:
        issuer = next((each for each in [*authorities, *left] if _is_issued(path[-1], each)), None)
        if issuer is None or issuer in path:
            return []
        path.append(issuer)
    return path


def _is_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_named(certificate: x509.Certificate, name: str) -> bool:
    """Say whether a client that asks for a name or an address takes the certificate for it (RFC 6125)."""
    try:
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        return ipaddress.ip_address(name) in named.get_values_for_type(x509.IPAddress)
    except ValueError:
        pass
    wild = "*." + name.partition(".")[2]
    dns = {each.lower() for each in named.get_values_for_type(x509.DNSName)}
    return bool({name.lower(), wild.lower()} & dns)


class FilterModule:
    """The filters of this file, by the names that templates use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return name → function."""
        return {
            "certificate_rules": certificate_rules,
            "own_certificate_fault": own_certificate_fault,
        }
