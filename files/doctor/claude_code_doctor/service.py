"""A service that is asked over HTTP from this host: what its answer, or the want of one, says."""

from __future__ import annotations

import base64
import email.utils
import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from claude_code_exporter.config import ConfigError, secret

from claude_code_doctor.finding import fail, ok, unseen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from claude_code_doctor.finding import Finding

Trouble = Literal["", "name", "silent", "untrusted", "expired", "credentials", "status", "secret"]
PATIENCE = 5.0
"""Seconds within which a service must answer."""
EXPIRED = 10
"""OpenSSL's number of an expired certificate, X509_V_ERR_CERT_HAS_EXPIRED; 9 is one that is not valid yet."""
NOT_YET = 9
STEPS: tuple[tuple[str, tuple[Trouble, ...], str], ...] = (
    ("found", ("name",), "its name has an address"),
    ("answers", ("silent", "status"), "it answers"),
    ("trusted", ("untrusted",), "its certificate is trusted"),
    ("unexpired", ("expired",), "its certificate is valid today"),
    ("credentials", ("credentials", "secret"), "it takes who asks"),
)
"""How each of a service's checks is called after its name, its troubles, what is said when all is well."""


UNNEEDED = ("trusted", "unexpired")
"""Steps that there are with TLS only."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where a service is, and how to show oneself."""

    url: str
    username: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking: the trouble, some words, the body, the service's clock less ours in seconds."""

    trouble: Trouble
    detail: str
    body: bytes = b""
    skew: float | None = None


def ask(door: Door, path: str, *, method: str = "GET", body: bytes = b"", kind: str = "") -> Answer:
    """Ask a service once; `kind` is the body's content type."""
    headers = {"Content-Type": kind} if kind else {}
    url = urlsplit(door.url)
    where = f"{url.hostname}:{url.port or (443 if url.scheme == 'https' else 80)}"
    try:
        if door.password_file:
            pair = f"{door.username}:{secret(door.password_file)}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    except ConfigError as error:
        return Answer("secret", str(error))
    try:
        connection = _connect(door)
        try:
            connection.request(method, url.path.rstrip("/") + path, body or None, headers)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
    except ssl.SSLCertVerificationError as error:
        expired = error.verify_code in (EXPIRED, NOT_YET)
        return Answer("expired" if expired else "untrusted", f"{where}: {error.verify_message}")
    except socket.gaierror as error:
        return Answer("name", f"{url.hostname}: {error.strerror}")
    except (OSError, http.client.HTTPException) as error:
        return Answer("silent", f"{where}: {error}")
    skew = _skew(response.getheader("Date"), now=time.time())
    if response.status in (401, 403):
        who = f"user {door.username}" if door.username else "nobody"
        return Answer("credentials", f"{where} answers {response.status} to {who}", text, skew)
    if not 200 <= response.status < 300:
        return Answer("status", f"{where} answers {response.status} {response.reason}", text, skew)
    return Answer("", f"{where} answers {response.status}", text, skew)


def _connect(door: Door) -> http.client.HTTPConnection:
    url = urlsplit(door.url)
    host = url.hostname or ""
    if url.scheme != "https":
        return http.client.HTTPConnection(host, url.port, timeout=PATIENCE)
    context = ssl.create_default_context(cafile=str(door.ca_file) if door.ca_file else None)
    return http.client.HTTPSConnection(host, url.port, timeout=PATIENCE, context=context)


def _skew(date: str | None, *, now: float) -> float | None:
    """Return how far ahead of `now` a Date header is, in seconds."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() - now if date else None
    except ValueError:
        return None


def judge(name: str, door: Door, answer: Answer) -> Iterator[Finding]:
    """Yield a finding for each step on the way to the service `name`; after a failure the rest is unseen."""
    failed = ""
    for step, troubles, well in STEPS:
        check = f"{name}-{step}"
        if step in UNNEEDED and door.url.startswith("http:"):
            yield ok(check, "it is asked without TLS")
        elif failed:
            yield unseen(check, f"after {failed}")
        elif answer.trouble in troubles:
            failed = check
            yield fail(check, answer.detail)
        else:
            yield ok(check, well)


def unasked(name: str, why: str) -> Iterator[Finding]:
    """Yield that a service was not asked."""
    for step, _, _ in STEPS:
        yield unseen(f"{name}-{step}", why)
