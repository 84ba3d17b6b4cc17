"""The installed exporter checks itself: a synthetic event goes its whole way through the running daemon."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import re
import ssl
import subprocess
import time
from typing import TYPE_CHECKING

from claude_code_exporter.canary import fly
from claude_code_exporter.config import secret
from claude_code_exporter.push import Pusher, PushError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claude_code_exporter.config import Address, Config, Web

CANARIES = re.compile(r"^claude_code_canary_events_total(?:\{.*\})? (\S+)$", re.MULTILINE)
PAUSE = 0.2
GATEWAY_TIMEOUT = 5.0


class SelfcheckError(Exception):
    """Something on the way does not work; the text says what."""


def run(config: Config, *, seconds: float, command: Sequence[str]) -> str:
    """Check the daemon that works by `config`, waiting up to `seconds` for each step.

    `command` appends the synthetic event, as the hooks do; without one it is appended from here. Returns a
    sentence if the Pushgateway does not answer, for that is no failure of the exporter, else nothing.
    Raises SelfcheckError.
    """
    page = Page(config.listen, config.web)
    _until(lambda: page.get("/-/ready") is not None, seconds, lambda: f"it is not ready: {page.wrong}")
    before = _canaries(page)
    _append(config, command)
    _until(
        lambda: _canaries(page) > before,
        seconds,
        lambda: f"a synthetic event was written to {config.journal_dir} and not counted; its log says why",
    )
    if config.transport != "pushgateway" or config.pushgateway is None:
        return ""
    try:
        Pusher(config.pushgateway, config.instance, list).probe(timeout=GATEWAY_TIMEOUT)
    except PushError as error:
        return f"{error}; nothing is lost, the exporter keeps the numbers and pushes them when it answers"
    return ""


def _until(truth: Callable[[], bool], seconds: float, otherwise: Callable[[], str]) -> None:
    until = time.monotonic() + seconds
    while not truth():
        if time.monotonic() > until:
            raise SelfcheckError(otherwise())
        time.sleep(PAUSE)


def _canaries(page: Page) -> float:
    found = CANARIES.search(page.get("/metrics") or "")
    return float(found[1]) if found else 0.0


def _append(config: Config, command: Sequence[str]) -> None:
    try:
        if command:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
        else:
            fly(config.journal_dir)
    except subprocess.CalledProcessError as error:
        message = f"the hooks cannot append a synthetic event: {error.stderr.strip()}"
        raise SelfcheckError(message) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"no synthetic event can be appended: {error}"
        raise SelfcheckError(message) from error


class Page:
    """The daemon's own listener, asked over loopback; `wrong` says why the last page could not be had."""

    def __init__(self, address: Address, web: Web | None) -> None:
        self.wrong = ""
        self._address = address
        self._host = address.host
        if ipaddress.ip_address(self._host).is_unspecified:
            self._host = "::1" if ":" in self._host else "127.0.0.1"
        self._tls = web is not None
        self._headers = {}
        for user, file in (web.users if web else {}).items():
            pair = base64.b64encode(f"{user}:{secret(file)}".encode()).decode()
            self._headers["Authorization"] = f"Basic {pair}"

    def get(self, path: str) -> str | None:
        """Return a page's text, or None."""
        try:
            connection = self._connect()
            try:
                connection.request("GET", path, headers=self._headers)
                response = connection.getresponse()
                text = response.read().decode()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException) as error:
            self.wrong = f"{self._address} does not answer ({error})"
            return None
        if response.status != 200:
            self.wrong = f"{self._address}{path} answers {response.status}: {text.strip()[:200]}"
            return None
        return text

    def _connect(self) -> http.client.HTTPConnection:
        if not self._tls:
            return http.client.HTTPConnection(self._host, self._address.port, timeout=10)
        # The daemon's own certificate, over loopback: whether it names this host is for others to judge.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(self._host, self._address.port, timeout=10, context=context)
