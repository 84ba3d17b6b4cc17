"""A real exporter in a process of its own, on free ports of loopback, with journals that the test writes."""

from __future__ import annotations

import datetime as dt
import http.client
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROGRAM = Path(__file__).parents[2] / "files/exporter/claude_code_exporter"
UID = os.geteuid()
DEADLINE = 15.0


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(truth: Callable[[], Any], what: str, *, seconds: float = DEADLINE) -> Any:
    """Return the first true answer of `truth`; fails with `what` when there is none in time."""
    until = time.monotonic() + seconds
    while not (answer := truth()):
        assert time.monotonic() < until, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)
    return answer


class Exporter:
    """One exporter: its configuration, its process, its pages."""

    def __init__(self, directory: Path, **settings: object) -> None:
        self.directory = directory
        self.journals = directory / "journal"
        self.ledger = directory / "ledger" / "ledger.sqlite"
        self.port, self.otlp_port = free_port(), free_port()
        for path in (self.journals, self.ledger.parent):
            path.mkdir(exist_ok=True)
        self.config = directory / "exporter.json"
        self.settings: dict[str, object] = {
            "instance": "dev-1",
            "journal_dir": str(self.journals),
            "ledger": str(self.ledger),
            "listen": f"127.0.0.1:{self.port}",
            "otlp_listen": f"127.0.0.1:{self.otlp_port}",
            "transport": "scrape",
            **settings,
        }
        self.log = directory / "exporter.log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str) -> list[str]:
        """Write the configuration and return the command line that works by it."""
        self.config.write_text(json.dumps(self.settings))
        return [sys.executable, "-I", str(PROGRAM), "--config", str(self.config), *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the program to its end."""
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=DEADLINE, check=False
        )

    def start(self, *, ready: bool = True, before: Callable[[], None] | None = None) -> Self:
        """Start the daemon and wait until it is ready; `before` runs in its process first."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stderr=log, preexec_fn=before)
        if ready:
            wait_for(self.ready, f"readiness of the exporter ({self.said()})")
        return self

    def __enter__(self) -> Self:
        return self.start() if self.process is None else self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if one runs, as no process expects."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """End the process by SIGTERM and return its status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)

    def said(self) -> str:
        """Return what the log says."""
        return self.log.read_text()

    def ready(self) -> bool:
        """Return whether the exporter says that it is ready."""
        assert self.process is not None
        assert self.process.poll() is None, self.said()
        try:
            return self.get("/-/ready")[0] == 200
        except OSError:
            return False

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """GET a page: status, headers, body."""
        return request(self.port, "GET", path, headers)

    def post(
        self, path: str, body: bytes, *, content_type: str = "application/json", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """POST to the receiver of OTLP."""
        headers["Content_Type"] = content_type
        return request(self.otlp_port, "POST", path, headers, body=body)

    def values(self) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        """Return all samples: name → sorted labels → value."""
        found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for family in text_string_to_metric_families(self.get("/metrics")[2].decode()):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
        return found

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of a name that carry `labels`."""
        samples = self.values().get(name, {})
        return sum(value for have, value in samples.items() if labels.items() <= dict(have).items())


def request(
    port: int, method: str, path: str, headers: Mapping[str, str] = {}, *, body: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Make one HTTP request on loopback; underscores in header names become hyphens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        connection.request(
            method, path, body, {name.replace("_", "-"): text for name, text in headers.items()}
        )
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def line(event: str, session: str = "s1", **more: object) -> bytes:
    """Return one line of a journal."""
    return json.dumps({"t": time.time(), "e": event, "s": session, "p": "shop", **more}).encode() + b"\n"


def header(name: str = "0" * 32) -> bytes:
    """Return the first line of the journal called `name`."""
    return json.dumps({"journal": name, "v": 1}).encode() + b"\n"


def attributes(values: dict[str, str]) -> list[dict[str, object]]:
    """Return attributes as OTLP/JSON writes them."""
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]


def cost(usd: float, session: str = "s1", *, at: int = 0) -> bytes:
    """Return an export that says that a session cost `usd` dollars more; `at` (ns) tells exports apart."""
    now = time.time_ns() + at
    point = {
        "attributes": attributes({"session.id": session, "model": "claude-sonnet-5", "query_source": "main"}),
        "startTimeUnixNano": str(now - 1000),
        "timeUnixNano": str(now),
        "asDouble": usd,
    }
    metric = {
        "name": "claude_code.cost.usage",
        "unit": "USD",
        "sum": {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": [point]},
    }
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()


def certificate(directory: Path) -> Path:
    """Make a certificate of 127.0.0.1 that vouches for itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = directory / "certificate.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path
