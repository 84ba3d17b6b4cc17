"""The checks of the exporter: its configuration, its process, its ports, what it answers and what it says."""

from __future__ import annotations

import os
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from claude_code_exporter.config import Address, ConfigError
from claude_code_exporter.config import load as load_config
from claude_code_exporter.selfcheck import Page

from claude_code_doctor.finding import either, fail, ok, unseen
from claude_code_doctor.service import Door, ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from claude_code_exporter.config import Config

    from claude_code_doctor.finding import Finding
    from claude_code_doctor.site import Host, Site

SAMPLE = re.compile(r"^(\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
EMPTY = b'{"resourceMetrics": []}'
STALE_PUSH = 300.0
"""Seconds after which the last push is too old; the exporter's own back-off is at most that long."""
ANY = "0.0.0.0"  # noqa: S104 - to be recognised, not to be bound
LARGEST_LAG = 60.0
"""Seconds that the exporter may be behind the journals."""
FUTURE = 120.0
"""Seconds by which a time may lie ahead before a clock must be wrong."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who listens on an address: `ours` if it is the exporter; `holder` if that could be seen."""

    address: str
    taken: bool
    ours: bool
    holder: str


def examine(host: Host) -> Iterator[Finding]:
    """Yield what was found."""
    site = host.site
    try:
        config: Config | None = load_config(Path(site.exporter_config))
        yield ok("exporter-config", f"{site.exporter_config} is sound")
    except ConfigError as error:
        config = None
        denied = isinstance(error.__cause__, PermissionError)
        yield (unseen if denied else fail)("exporter-config", str(error))
    pids = processes(site.exporter_program)
    yield (
        ok("exporter-running", f"process {', '.join(map(str, pids))}")
        if pids
        else fail("exporter-running", "no process of it is there")
    )
    addresses = {"port-metrics": site.listen, "port-otlp": site.otlp_listen}
    for name, address in addresses.items():
        yield port(name, listener(address, pids, root=host.root), running=bool(pids))
    yield _otlp(site)
    page = Page(config.listen, config.web) if config else _plain(site)
    if page is None:
        for name in ("exporter-ready", "push-arrives", "journal-backlog", "clock-future"):
            yield unseen(name, "its pages ask for a password that only root can read")
        return
    ready = page.get("/-/ready")
    yield ok("exporter-ready", "it is ready") if ready is not None else fail("exporter-ready", page.wrong)
    text = page.get("/metrics")
    yield from numbers(samples(text or ""), site.transport, now=time.time(), up=uptime(pids))


def _plain(site: Site) -> Page | None:
    """Return the exporter's pages for somebody who may not read its configuration."""
    host, _, number = site.listen.rpartition(":")
    address = Address(host.strip("[]"), int(number))
    return Page(address, None) if address.loopback else None


def processes(program: str) -> list[int]:
    """Return the ids of the processes that run the exporter at the path `program`."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            words = (directory / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if program.encode() in words[1:4] and b"--config" in words:
            found.append(int(directory.name))
    return sorted(found)


def uptime(pids: list[int]) -> float:
    """Return for how many seconds the oldest of these processes has run; 0 without any."""
    try:
        now = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        # Behind the name in parentheses, which may hold anything; the start is the 22nd field of proc(5).
        fields = [Path("/proc", str(pid), "stat").read_bytes().rpartition(b")")[2].split() for pid in pids]
        return max((now - int(each[19]) / os.sysconf("SC_CLK_TCK") for each in fields), default=0.0)
    except (OSError, ValueError, IndexError):
        return 0.0


def listener(address: str, pids: list[int], *, root: bool) -> Listener:
    """See who listens on an address."""
    host, _, text = address.rpartition(":")
    number = int(text)
    try:
        socket.create_connection((host.strip("[]").replace(ANY, "127.0.0.1"), number), timeout=2).close()
    except OSError:
        return Listener(address, taken=False, ours=False, holder="")
    inodes = {
        fields[9]
        for table in ("tcp", "tcp6")
        for fields in _table(Path("/proc/net", table))
        if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == number
    }
    for directory in Path("/proc").glob("[0-9]*"):
        pid = int(directory.name)
        try:
            held = {str(link.readlink()) for link in (directory / "fd").iterdir()}
            name = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if any(f"socket:[{inode}]" in held for inode in inodes) and pid != 1:
            return Listener(address, taken=True, ours=pid in pids, holder=name[:120])
    return Listener(address, taken=True, ours=bool(pids) or not root, holder="")


def _table(path: Path) -> list[list[str]]:
    try:
        return [line.split() for line in path.read_text(encoding="ascii").splitlines()[1:]]
    except OSError:
        return []


def port(name: str, found: Listener, *, running: bool) -> Finding:
    """Judge who has a port."""
    if found.taken and not found.ours:
        return fail(name, f"{found.address} is held by {found.holder or 'another process'}")
    if not found.taken:
        return (fail if running else unseen)(name, f"nobody listens on {found.address}")
    return ok(name, f"{found.address} is the exporter's")


def _otlp(site: Site) -> Finding:
    url = site.environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{site.otlp_listen}")
    if site.environment.get("OTEL_METRICS_EXPORTER", "otlp") != "otlp" or not url.endswith(site.otlp_listen):
        url = f"http://{site.otlp_listen}"
    answer = ask(Door(url), "/v1/metrics", method="POST", body=EMPTY, kind="application/json")
    if answer.trouble:
        return fail("otlp-accepted", answer.detail)
    return ok("otlp-accepted", f"{url}/v1/metrics took an empty export")


def samples(text: str) -> dict[str, float]:
    """Return the largest value of each metric on a page."""
    found: dict[str, float] = {}
    for name, value in SAMPLE.findall(text):
        try:
            found[name] = max(found.get(name, float("-inf")), float(value))
        except ValueError:
            continue
    return found


def numbers(page: Mapping[str, float], transport: str, *, now: float, up: float) -> Iterator[Finding]:
    """Yield what the exporter says of itself. now: seconds since the epoch; up: seconds that it has run."""
    if not page:
        for name in ("push-arrives", "journal-backlog", "clock-future"):
            yield unseen(name, "the exporter shows no metrics")
        return
    pushed = page.get("claude_code_exporter_last_push_timestamp_seconds")
    if transport != "pushgateway" or pushed is None:
        yield unseen("push-arrives", f"nothing is pushed from here: the transport is {transport}")
    elif not pushed and up < STALE_PUSH:
        yield unseen("push-arrives", f"the exporter was started {up:.0f} s ago and no push has arrived yet")
    elif not pushed:
        yield fail("push-arrives", "none has arrived since the exporter was started")
    elif now - pushed > STALE_PUSH:
        yield fail("push-arrives", f"the last one arrived {now - pushed:.0f} s ago")
    else:
        yield ok("push-arrives", f"the last one arrived {max(0.0, now - pushed):.0f} s ago")
    lag = page.get("claude_code_exporter_journal_lag_seconds", 0.0)
    behind = [f"the exporter is {lag:.0f} s behind"] if lag > LARGEST_LAG else []
    yield either("journal-backlog", behind, f"the exporter is {lag:.0f} s behind")
    latest = page.get("claude_code_canary_timestamp_seconds", 0.0)
    ahead = [f"the ledger has an event of {latest - now:.0f} s ahead"] if latest - now > FUTURE else []
    yield either("clock-future", ahead, "nothing was written in the future")
