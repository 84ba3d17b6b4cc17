"""A secret of the inventory is where it is needed, and in no output, diff, process list, log or open file."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.plays import container, docker_host, run_playbook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.machine import Machine

pytestmark = pytest.mark.timeout(900)

MARK = "CaNaRy"
USERS = ("prometheus", "pushgateway", "alertmanager", "exporter", "agent", "victoriametrics")


def secret(name: str) -> str:
    """Return the text that is secret, different for each place that it is written to."""
    return f"{MARK}-{name}"


VARIABLES: dict[str, Any] = {
    "grafana_unreachable": "skip",
    "trust_enabled": True,
    "trust_passwords": {user: secret(f"trust-{user}") for user in USERS},
    "victoriametrics_enabled": True,
    "prometheus_remote_write": [
        {
            "url": "https://localhost:2/w",
            "basic_auth": {"username": "u", "password": secret("write-password")},
        },
        {"url": "https://localhost:3/w", "authorization": {"credentials": secret("write-credentials")}},
        {"url": "https://localhost:4/w", "headers": {"X-Scope-OrgID": secret("write-header")}},
    ],
    "prometheus_scrape_configs_extra": [
        {"job_name": "more", "basic_auth": {"username": "u", "password": secret("scrape-password")}},
    ],
    "alertmanager_receivers": [
        {"name": "ops", "slack_url": f"https://hooks.example.com/{secret('slack')}", "slack_channel": "#ops"},
        {"name": "page", "pagerduty_key": secret("pagerduty")},
        {"name": "bot", "webhook_url": f"https://bot.example.com/{secret('webhook')}"},
        {"name": "mail", "email_to": "a@example.com"},
        {"name": "own", "config": {"opsgenie_configs": [{"api_key": secret("opsgenie")}]}},
    ],
    "alertmanager_smtp": {
        "smarthost": "localhost:25",
        "from": "b@example.com",
        "username": "u",
        "password": secret("smtp"),
    },
    "alertmanager_default_receiver": "bot",
    "claude_hooks_notification_engine": "openai",
    "claude_hooks_notification_key": secret("voice"),
    "claude_exporter_user_label": "hashed",
    "claude_exporter_hash_key": secret("key-of-hashes"),
    "claude_exporter_pushgateway_url": "https://127.0.0.1:9091",
    "claude_exporter_pushgateway_username": "pushgateway",
    "claude_exporter_pushgateway_password": secret("trust-pushgateway"),
    "claude_exporter_pushgateway_ca_file": "/etc/claude-code-observability-trust/claude_exporter/ca.crt",
    "claude_telemetry_mode": "otlp",
    "claude_telemetry_otlp_endpoint": "https://collector.example.com:4318/",
    "claude_telemetry_otlp_headers": {"Authorization": secret("header")},
    "claude_telemetry_profile": True,
}
TRUST = "/etc/claude-code-observability-trust"
# Every file on the host that holds one, and whose it is.
HELD = {
    **{
        f"{TRUST}/prometheus/{user}.password": ("root:prometheus 640", {f"trust-{user}"})
        for user in ("prometheus", "pushgateway", "alertmanager", "exporter", "victoriametrics")
    },
    f"{TRUST}/claude_exporter/pushgateway.password": ("root:claude-exporter 640", {"trust-pushgateway"}),
    f"{TRUST}/claude_exporter/exporter.password": ("root:claude-exporter 640", {"trust-exporter"}),
    f"{TRUST}/victoriametrics/victoriametrics.password": (
        "root:_victoria-metrics 640",
        {"trust-victoriametrics"},
    ),
    "/etc/victoria-metrics/secret.env": ("root:root 600", {"trust-victoriametrics"}),
    "/etc/prometheus/prometheus.yml": ("root:prometheus 640", {"scrape-password", "write-header"}),
    "/etc/claude-code-observability/exporter.hash_key": ("root:claude-exporter 640", {"key-of-hashes"}),
    "/etc/claude-code-observability/exporter.pushgateway_password": (
        "root:claude-exporter 640",
        {"trust-pushgateway"},
    ),
    "/etc/claude-code-observability/voice.key": ("root:root 640", {"voice"}),
    "/etc/prometheus/alertmanager.yml": ("root:prometheus 640", {"opsgenie"}),
}
# Claude Code reads the headers of its telemetry as whoever runs it.
OPEN = {
    "/etc/claude-code/managed-settings.d/40-observability-telemetry.json": ("root:root 644", {"header"}),
    "/etc/profile.d/claude-code-observability.sh": ("root:root 644", {"header"}),
}
# Roles may name these files as they like; whose they are is said here.
FOLDERS = {
    "/etc/prometheus/remote_write/": ("root:prometheus 640", {"write-password", "write-credentials"}),
    "/etc/prometheus/alertmanager-secrets/": (
        "root:prometheus 640",
        {"slack", "pagerduty", "webhook", "smtp"},
    ),
}
# Looks, as somebody without rights, at all command lines and environments that they can read.
WATCH = """
import pathlib, sys, time
mark, until = sys.argv[1].encode() + b"-", time.monotonic() + 600
looks = 0
while time.monotonic() < until and not pathlib.Path("/tmp/enough").exists():
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                text = (process / name).read_bytes()
            except OSError:
                continue
            if mark in text:
                print(text.replace(b"\\0", b" ").decode(errors="replace"), flush=True)
    looks += 1
    time.sleep(0.02)
print("looks", looks)
"""
SEARCH = 'grep -rla --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev -e "$0" / 2>/dev/null || true'


@dataclass(frozen=True)
class Deployed:
    """A host after a run that said everything it could, and what was seen meanwhile."""

    machine: Machine
    directory: Path
    output: str
    seen: str
    seen_here: list[str]


def watch_here(found: list[str], enough: threading.Event) -> None:
    """Look at all command lines of this machine."""
    while not enough.wait(0.02):
        for process in Path("/proc").glob("[0-9]*"):
            try:
                text = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if f"{MARK}-".encode() in text:
                found.append(text.replace(b"\0", b" ").decode(errors="replace"))


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Deploy everything to one host, with a secret in every variable that takes one."""
    directory = tmp_path_factory.mktemp("secrets")
    with container("ccpo-debian13-systemd", systemd=True) as machine:
        host = docker_host(machine, **VARIABLES)
        groups = {name: {"hosts": {"one": None}} for name in ("monitoring", "developers")}
        inventory = {"all": {"hosts": {"one": host}, "children": groups}}
        (directory / "hosts.yml").write_text(yaml.safe_dump(inventory))
        watch = machine.start(["python3", "-c", WATCH, MARK], user="nobody", seconds=700)
        here: list[str] = []
        enough = threading.Event()
        watcher = threading.Thread(target=watch_here, args=(here, enough))
        watcher.start()
        site = ("site.yml", directory / "hosts.yml", "-vvv", "--diff")
        status, output = run_playbook(*site, quickly=False, seconds=850)
        enough.set()
        watcher.join()
        machine.run("touch", "/tmp/enough")
        assert status == 0, output[-4000:]
        yield Deployed(machine, directory, output, watch.output(), here)


def test_nothing_secret_is_said_however_much_is_said(deployed: Deployed) -> None:
    assert re.findall(rf".{{0,200}}{MARK}.{{0,40}}", deployed.output) == []
    assert "+++ after" in deployed.output
    assert deployed.output.count("TASK [") > 100


def test_no_process_shows_one(deployed: Deployed) -> None:
    *seen, looks = deployed.seen.splitlines()
    assert seen == []
    assert int(looks.removeprefix("looks ")) > 100
    assert deployed.seen_here == []


def test_no_log_has_one(deployed: Deployed) -> None:
    log = deployed.machine.run("journalctl", "--all", "--output", "cat")
    assert "ansible" in log
    assert MARK not in log


def held(machine: Machine, path: str) -> tuple[str, set[str]]:
    """Return the owner, group and mode of a file, and the secrets in it."""
    text = machine.run("cat", path)
    return machine.run("stat", "--format", "%U:%G %a", path).strip(), set(
        re.findall(rf"{MARK}-([a-z-]+)", text)
    )


def test_each_is_where_it_is_needed_alone_and_closed(deployed: Deployed) -> None:
    machine = deployed.machine
    found = {path: held(machine, path) for path in machine.run("sh", "-c", SEARCH, MARK).splitlines()}
    for folder, (state, names) in FOLDERS.items():
        inside = {path: found.pop(path) for path in [*found] if path.startswith(folder)}
        assert {one for one, _ in inside.values()} == {state}, folder
        assert sorted(name for _, each in inside.values() for name in each) == sorted(names)
    assert found == {**HELD, **OPEN}


def test_the_store_keeps_none_that_was_given(deployed: Deployed) -> None:
    store = deployed.directory / ".trust"
    assert [path for path in store.rglob("*") if path.is_file() and MARK in path.read_text()] == []
    assert {path.stat().st_mode & 0o777 for path in store.rglob("*") if path.is_file()} == {0o600}
