"""The developers' roles for macOS, as far as a container that says it is a Mac can tell.

The facts are a Mac's; Homebrew's Python is a link, launchctl a stand-in that runs what property lists say.
What makes accounts is Debian's here, and no client reads the settings: docs/macos.md says what was not run.
"""

from __future__ import annotations

import json
import os
import plistlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.machine import eventually
from tests.support.plays import container, docker_host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.machine import Machine

pytestmark = pytest.mark.timeout(900)
ROOT = Path(__file__).parents[2]
FACTS = {
    "os_family": "Darwin",
    "distribution": "MacOSX",
    "distribution_version": "15.6",
    "distribution_major_version": "15",
    "service_mgr": "launchd",
}
ROLES = ["claude_hooks", "claude_exporter", "claude_telemetry"]
PREPARE = """
groupadd wheel
mkdir -p /opt/homebrew/bin /Library/LaunchDaemons
ln -s /usr/bin/python3 /opt/homebrew/bin/python3
"""
PACKAGES = """
apt-get -q update &&
    apt-get -qy install --no-install-recommends python3-cheroot python3-prometheus-client shfmt
"""
CLAUDE = "/Library/Application Support/ClaudeCode"
PLIST = "/Library/LaunchDaemons/claude-code-exporter.plist"
PROGRAM = "/usr/local/lib/claude-code-observability/exporter/claude_code_exporter"
METRICS = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:9468/metrics", timeout=10).read().decode())
"""


@dataclass
class Mac:
    """A container that says it is a Mac."""

    machine: Machine
    directory: Path

    def play(
        self, *roles: str, tasks: str = "main", check: bool = False, **variables: Any
    ) -> tuple[int, str]:
        """Play roles; return the count of changes, -1 for a failure, and the output with single blanks."""
        included = [
            {"ansible.builtin.include_role": {"name": role, "tasks_from": tasks}, "tags": ["always"]}
            for role in roles
        ]
        facts = {"ansible.builtin.set_fact": {**FACTS, "cacheable": True}}
        play = {"hosts": "all", "gather_facts": False, "tasks": [facts, *included]}
        host = docker_host(self.machine, trust_enabled=False, **variables)
        inventory, book = self.directory / "hosts.yml", self.directory / "play.yml"
        inventory.write_text(yaml.safe_dump({"developers": {"hosts": {"mac": host}}}))
        book.write_text(yaml.safe_dump([play]))
        argv = ["ansible-playbook", "-i", str(inventory), str(book), *(["--check"] if check else [])]
        done = subprocess.run(
            argv,
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_ROLES_PATH": str(ROOT / "roles"), "ANSIBLE_NOCOLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=280,
            check=False,
        )
        changed = re.search(r"changed=(\d+)", done.stdout)
        assert changed, done.stdout
        return int(changed[1]) if done.returncode == 0 else -1, " ".join(done.stdout.split())

    def launchctl(self) -> list[str]:
        """Return what launchd was asked to change, in order."""
        lines = self.machine.run("cat", "/var/log/launchctl").splitlines()
        return [line for line in lines if not line.startswith("print ")]


@pytest.fixture(scope="module")
def mac(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mac]:
    """Yield a Mac on which the roles were played once."""
    with container("ccpo-debian13-systemd", systemd=False, prepare=PREPARE) as machine:
        mac = Mac(machine, tmp_path_factory.mktemp("mac"))
        refused = mac.play("claude_exporter")
        assert refused[0] == -1
        assert "does not have the packages cheroot and prometheus-client (ModuleNotFoundError" in refused[1]
        assert "changed=0" in refused[1]
        machine.run("sh", "-c", PACKAGES, seconds=200)
        machine.write("/usr/local/bin/launchctl", (ROOT / "tests/support/launchctl").read_text())
        machine.run("chmod", "755", "/usr/local/bin/launchctl")
        changed, output = mac.play(*ROLES)
        assert changed > 0, output
        yield mac


def test_managed_settings_are_where_a_macs_client_reads_them(mac: Mac) -> None:
    folder = f"{CLAUDE}/managed-settings.d"
    hooks = json.loads(mac.machine.run("cat", f"{folder}/50-observability-hooks.json"))["hooks"]
    commands = {one["command"] for entries in hooks.values() for entry in entries for one in entry["hooks"]}
    assert {command.split()[0] for command in commands} == {"/opt/homebrew/bin/python3"}
    telemetry = json.loads(mac.machine.run("cat", f"{folder}/40-observability-telemetry.json"))["env"]
    assert telemetry["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4318"
    assert mac.machine.run("ls", f"{CLAUDE}/.claude/commands").split() == [
        "blocked.md",
        "meter.md",
        "telemetry.md",
    ]
    owners = mac.machine.run("find", CLAUDE, "-type", "f", "-printf", "%u:%g\n").splitlines()
    assert set(owners) == {"root:wheel"}
    assert mac.machine.run("sh", "-c", "ls -d /etc/claude-code || :") == ""


def test_the_property_list_runs_the_exporter_as_its_own_user(mac: Mac) -> None:
    job = plistlib.loads(mac.machine.run("cat", PLIST).encode())
    assert job["Label"] == "claude-code-exporter"
    assert job["ProgramArguments"] == [
        *("/opt/homebrew/bin/python3", "-I", PROGRAM),
        *("--config", "/etc/claude-code-observability/exporter.json"),
    ]
    assert (job["UserName"], job["GroupName"]) == ("claude-exporter", "claude-exporter")
    assert (job["RunAtLoad"], job["KeepAlive"], job["Umask"]) == (True, True, 0o77)


def test_what_launchd_was_brought_counts_and_tests_the_guard(mac: Mac) -> None:
    assert mac.launchctl()[-1:] == [f"bootstrap system {PLIST}"]
    page = eventually(
        lambda: mac.machine.run("python3", "-c", METRICS),
        accept=lambda seen: "\nclaude_code_guard_effective 1.0\n" in seen,
        seconds=30,
    )
    assert "\nclaude_code_guard_effective 1.0\n" in page
    assert re.search(r"\nclaude_code_canary_events_total [1-9]", page)


def test_a_second_play_changes_nothing(mac: Mac) -> None:
    for check in (True, False):
        changed, output = mac.play(*ROLES, check=check)
        assert changed == 0, output


def test_a_changed_variable_brings_the_exporter_to_launchd_anew(mac: Mac) -> None:
    before = len(mac.launchctl())
    changed, output = mac.play("claude_exporter", claude_exporter_max_projects=40)
    assert changed > 0, output
    assert mac.launchctl()[before:] == ["bootout system/claude-code-exporter", f"bootstrap system {PLIST}"]


def test_the_monitoring_host_cannot_be_a_mac(mac: Mac) -> None:
    changed, output = mac.play("prometheus")
    assert changed == -1
    assert "mac runs MacOSX 15.6; only Debian 12 and 13 are supported" in output


def test_uninstalling_leaves_nothing(mac: Mac) -> None:
    """The last test, for it takes away what the others look at."""
    changed, output = mac.play(*ROLES, tasks="uninstall", uninstall_purge=True)
    assert changed > 0, output
    where = "/Library /etc/*claude* /usr/local/lib/*claude* /var/lib/*claude*"
    found = mac.machine.run("sh", "-c", f"find {where} -type f 2>/dev/null || :")
    assert found == ""
    assert mac.launchctl()[-1] == "bootout system/claude-code-exporter"
    assert mac.play(*ROLES, tasks="uninstall", uninstall_purge=True)[0] == 0
