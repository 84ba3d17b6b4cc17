"""Bringing the totals to a Pushgateway: the whole group each time, so a push that is lost costs nothing."""

from __future__ import annotations

import base64
import http.client
import logging
import random
import ssl
import time
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from claude_code_exporter.config import ConfigError, secret
from claude_code_exporter.keeper import BusyError
from claude_code_exporter.server import blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_code_exporter.config import Pushgateway

JOB = "claude_code"
LONGEST_DELAY = 300.0
TIMEOUT = 10.0
LAST_TIMEOUT = 2.0

log = logging.getLogger("exporter")


class PushError(Exception):
    """A push did not arrive; the text says why."""


def group_path(instance: str) -> str:
    """Return the path of an instance's group, whatever characters its name has."""
    if "/" in instance or instance in (".", ".."):
        encoded = base64.urlsafe_b64encode(instance.encode()).decode().rstrip("=")
        return f"/metrics/job/{JOB}/instance@base64/{encoded}"
    return f"/metrics/job/{JOB}/instance/{quote(instance, safe='')}"


def delay(interval: float, failures: int, *, chance: float) -> float:
    """Return seconds until the next push after `failures` in a row; `chance` (0 to 1) spreads a fleet."""
    base = min(max(LONGEST_DELAY, interval), interval * 2.0 ** min(failures, 16))
    return base * (0.9 + 0.2 * chance)


class Pusher:
    """Pushes on time, in a thread of its own; remembers how it went for the exporter's own metrics."""

    def __init__(self, gateway: Pushgateway, instance: str, render: Callable[[], list[bytes]]) -> None:
        self.last_success = 0.0
        self.failures = 0
        self._in_a_row = 0
        self._gateway = gateway
        self._path = group_path(instance)
        self._render = render
        self._stop = Event()

    def run(self) -> None:
        """Push until `stop`."""
        chance = random.SystemRandom().random
        pause = min(1.0, self._gateway.interval)
        while not self._stop.wait(pause):
            self.push()
            pause = delay(self._gateway.interval, self._in_a_row, chance=chance())

    def stop(self) -> None:
        """Make `run` return."""
        self._stop.set()

    def push(self, *, timeout: float = TIMEOUT) -> bool:
        """Replace the group by the totals of now; whether that arrived. Logs the first failure in a row."""
        try:
            self.request("PUT", self._path, self._render(), timeout=timeout)
        except (PushError, BusyError) as error:
            self.failures += 1
            self._in_a_row += 1
            if self._in_a_row == 1:
                log.warning("%s; the totals are kept and pushed when it answers", error)
            return False
        if self._in_a_row:
            log.warning("the Pushgateway %s answers again", self._gateway.url)
        self.last_success = time.time()
        self._in_a_row = 0
        return True

    def delete(self) -> None:
        """Remove the group, for a host that is taken out. Raises PushError."""
        self.request("DELETE", self._path, [], timeout=TIMEOUT)

    def probe(self, *, timeout: float) -> None:
        """See whether the Pushgateway answers and knows the user. Raises PushError."""
        self.request("GET", "/-/ready", [], timeout=timeout)

    def request(self, method: str, path: str, body: list[bytes], *, timeout: float) -> None:
        """Make one request, its body in pieces. Raises PushError with a sentence that names the address."""
        url = urlsplit(self._gateway.url)
        where = f"the Pushgateway {self._gateway.url}"
        try:
            connection = self._connect(url.scheme, url.hostname or "", url.port, timeout)
            try:
                headers = {**self._headers(), "Content-Length": str(sum(map(len, body)))}
                connection.request(method, url.path.rstrip("/") + path, blocks(body), headers)
                response = connection.getresponse()
                text = response.read(1000).decode(errors="replace").strip()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ConfigError) as error:
            msg = f"{where} cannot be reached: {error}"
            raise PushError(msg) from error
        if not 200 <= response.status < 300:
            msg = f"{where} answered {response.status} {response.reason}: {text[:200]}"
            raise PushError(msg)

    def _connect(
        self, scheme: str, host: str, port: int | None, timeout: float
    ) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout)
        ca_file = str(self._gateway.ca_file) if self._gateway.ca_file else None
        context = ssl.create_default_context(cafile=ca_file)
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        if self._gateway.password_file:
            # Read each time: a password that was changed needs no restart.
            pair = f"{self._gateway.username}:{secret(self._gateway.password_file)}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        return headers
