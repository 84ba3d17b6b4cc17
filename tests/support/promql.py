"""Questions to the Prometheus under test, over TLS and with its password, as everybody else must ask them."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.support.machine import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Vector = dict[tuple[str, ...], float]


class _Pinned(HTTPSConnection):
    """HTTPS to a fixed address, whose certificate must be good for the name all the same."""

    def __init__(self, name: str, port: int, *, address: str, context: ssl.SSLContext) -> None:
        super().__init__(name, port, timeout=10)
        self.address = address
        self.context = context

    def connect(self) -> None:
        """Open the connection to the address, not to what the name resolves to here."""
        plain = socket.create_connection((self.address, self.port), timeout=self.timeout)
        self.sock = self.context.wrap_socket(plain, server_hostname=self.host)


@dataclass(frozen=True)
class Service:
    """An HTTP service; with ``ca_file`` over TLS and as ``name``, with ``user`` authenticated."""

    name: str
    address: str
    port: int
    ca_file: Path | None = None
    user: str = ""
    password: str = ""

    def get(self, path: str, *, authenticated: bool = True) -> tuple[int, bytes]:
        """Return status and body of one GET."""
        return self._ask("GET", path, authenticated=authenticated)

    def post(self, path: str, body: object) -> tuple[int, bytes]:
        """Return status and body of one POST of JSON."""
        return self._ask("POST", path, json.dumps(body).encode())

    def _ask(
        self, method: str, path: str, body: bytes | None = None, *, authenticated: bool = True
    ) -> tuple[int, bytes]:
        connection: HTTPConnection
        if self.ca_file:
            context = ssl.create_default_context(cafile=str(self.ca_file))
            connection = _Pinned(self.name, self.port, address=self.address, context=context)
        else:
            connection = HTTPConnection(self.address, self.port, timeout=10)
        headers = {"Content-Type": "application/json"} if body else {}
        if self.user and authenticated:
            secret = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            headers["Authorization"] = f"Basic {secret}"
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus server."""

    service: Service

    def query(self, promql: str, *, at: float | None = None) -> list[dict[str, Any]]:
        """Return the samples of an instant query, each with ``metric`` and ``value``; ``at`` is its time."""
        asked = {"query": promql} if at is None else {"query": promql, "time": f"{at:.3f}"}
        status, body = self.service.get(f"/api/v1/query?{urlencode(asked)}")
        answer = json.loads(body)
        assert status == 200, answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def vector(self, promql: str, *labels: str) -> Vector:
        """Return a query's non-zero values by these labels, which must tell the samples apart."""
        found: Vector = {}
        for sample in self.query(promql):
            key = tuple(sample["metric"].get(label, "") for label in labels)
            assert key not in found, f"{promql}: {labels} do not tell {sample['metric']} from another"
            value = float(sample["value"][1])
            if value:
                found[key] = value
        return found

    def eventually(
        self, promql: str, *labels: str, expected: Mapping[tuple[str, ...], float], seconds: float = 90
    ) -> Vector:
        """Ask until the answer is as expected or the time is over; return the last answer."""
        wanted = dict(expected)
        return eventually(
            lambda: self.vector(promql, *labels), accept=lambda seen: seen == wanted, seconds=seconds
        )
