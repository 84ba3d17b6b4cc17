"""Uninstalling one machine with everything, whose hooks moved from a project's settings into people's own."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.fresh.snapshot import snapshot
from tests.support.changes import UNITS
from tests.support.plays import EVERYTHING, container, docker_host, offer_grafana, play

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fresh.snapshot import Snapshot
    from tests.support.machine import Machine
    from tests.support.plays import Played

pytestmark = pytest.mark.timeout(1200)
# Not in /home and /srv, which snapshots leave out: here every file of people counts.
PREPARE = """
for user in ada bob cyd dan; do useradd --base-dir /people --create-home $user; done
install -d -o ada -g ada /checkouts/shop
install -d -o bob -g bob /checkouts/blog
"""
HOOKS_OF = {
    "project": {
        "claude_hooks_scope": "project",
        "claude_hooks_projects": ["/checkouts/shop", "/checkouts/blog"],
    },
    "user": {"claude_hooks_scope": "user", "claude_hooks_users": ["ada", "bob", "cyd", "dan"]},
}
ADAS, BOBS, CYDS, DANS = (f"/people/{user}/.claude/settings.json" for user in ("ada", "bob", "cyd", "dan"))
BOBS_OWN = "/people/bob/dotfiles/claude.json"
"""Where the link leads that Bob has for his settings."""
SHOPS, BLOGS = "/checkouts/shop/.claude/settings.json", "/checkouts/blog/.claude/settings.json"
SHOPS_LOCAL = "/checkouts/shop/.claude/settings.local.json"
ADAS_TEXT = """{ "cleanupPeriodDays":   44,
"hooks":{"PreToolUse": [ {"matcher": "Bash", "hooks":
	[ { "type":"command","command":"echo é >>~/seen" } ]} ], "Stop": [ ],

 "Notification" : [
] },
  "env": {"SECRET" : "CANARY-3b"} }"""
# Whose file, its mode, and what it says before the first deployment.
THEIRS = {
    ADAS: ("ada", "0640", ADAS_TEXT),
    BOBS_OWN: (
        "bob",
        "0600",
        '{\r\n\t"hooks": {\r\n\t\t"Stop": [\r\n\t\t]\r\n\t},\r\n\t"model":"opus"\r\n}\r\n\r\n',
    ),
    SHOPS: (
        "ada",
        "0664",
        '{"permissions":{"allow":[ "Bash(ls:*)" ]},   "hooks":{ }}\n',
    ),
    BLOGS: (
        "bob",
        "0644",
        '\n{\n      "hooks": {"Stop": [{"hooks": [{"type": "command", "command": "true"}]}]}}\n\n',
    ),
    SHOPS_LOCAL: ("ada", "0600", '{"hooks" : {}, "model":"sonnet" }'),
    "/checkouts/shop/.claude/commands/theirs.md": ("ada", "0644", "Say hello.\n"),
    "/etc/claude-code/managed-settings.json": ("root", "0644", '{"cleanupPeriodDays":   33}\n'),
    "/etc/claude-code/managed-settings.d/10-theirs.json": ("root", "0644", '{"env": {"THEIRS":  "1"}}'),
    "/etc/claude-code/.claude/commands/theirs.md": ("root", "0644", "Say hello.\n"),
    "/etc/claude-code-observability/theirs.conf": ("root", "0644", "theirs\n"),
    "/usr/local/lib/claude-code-observability/theirs.py": ("root", "0644", "theirs = True\n"),
    "/etc/prometheus/theirs.yml": ("root", "0644", "theirs: true\n"),
    "/etc/systemd/system/prometheus.service.d/theirs.conf": ("root", "0644", "[Unit]\n"),
    "/etc/systemd/system/grafana-server.service.d/theirs.conf": ("root", "0644", "[Unit]\n"),
    "/etc/apt/preferences.d/theirs": ("root", "0644", "Package: theirs\nPin: version 1*\nPin-Priority: 1\n"),
}
# What some of it is for each daemon, to be sure that the snapshots look where it is.
OURS = {
    "/etc/claude-code-observability/agent.yml",
    "/etc/claude-code-observability/exporter.json",
    "/etc/claude-code-observability/registered.json",
    "/etc/default/victoria-metrics.before-claude-code-observability",
    "/etc/default/prometheus-pushgateway.before-claude-code-observability",
    "/etc/grafana/claude-code-observability/dashboards/fleet.json",
    "/etc/grafana/provisioning/datasources/claude-code-observability.yaml",
    "/etc/apt/sources.list.d/claude-code-observability-grafana.sources",
    "/etc/prometheus/alertmanager.yml.before-claude-code-observability",
    "/etc/prometheus/rules/claude-code-observability.yml",
    "/etc/systemd/system/claude-code-agent.service",
    "/etc/systemd/system/claude-code-agent.service.d/50-claude-code-observability.conf",
    "/etc/systemd/system/claude-code-exporter.service",
    "/etc/systemd/system/grafana-server.service.d/50-claude-code-observability.conf",
    "/etc/systemd/system/prometheus.service.d/50-claude-code-observability.conf",
    f"{ADAS}.before-claude-code-observability",
    f"{BOBS_OWN}.before-claude-code-observability",
}
GRAFANAS = "/etc/grafana/provisioning/dashboards/theirs.yaml"
"""What somebody gives our Grafana, whose package would change it if it were there before."""
DATA = (
    "/var/lib/claude-code-observability",
    "/var/lib/grafana/grafana.db",
    "/var/lib/prometheus/",
    "/var/lib/victoria-metrics/",
)
GRAFANAS_SECRETS = {
    "+ /etc/grafana/claude-code-observability",
    "+ /etc/grafana/claude-code-observability/admin-password",
    "+ /etc/grafana/claude-code-observability/secret-key",
}
EDITED = {f"~ {ADAS}", f"~ {SHOPS}", "+ /people/dan/.claude", f"+ {DANS}"}
"""What people changed themselves, and may keep."""


# Debian's configuration files that are not as the packages have them.
VERIFY = """
dpkg --verify prometheus prometheus-pushgateway prometheus-alertmanager victoria-metrics | grep /etc/ || :
"""


def adas_edit(text: str) -> str:
    """Return Ada's settings with another number, another hook beside ours, and one more secret."""
    text = text.replace(":   44,", ": 7,\n   ")
    text = text.replace('"PreToolUse": [ {', '"PreToolUse": [ {"hooks": [ ]}, {')
    return text.replace('"CANARY-3b"}', '"CANARY-3b","MORE":"1"}')


def shops_edit(text: str) -> str:
    """Return the shop's settings with one more permission."""
    return text.replace('"Bash(ls:*)" ]', '"Bash(ls:*)", "Bash(cat:*)"\n]')


def dans_edit(text: str) -> str:
    """Return Dan's settings, which are only our hooks, with a model before them."""
    return text.replace("{", '{\n  "model": "opus",', 1)


@dataclass
class Story:
    """What happened on the machine: what each run said, and how the machine was then."""

    machine: Machine
    directory: Path
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    ends: dict[str, Played] = field(default_factory=dict)
    texts: dict[str, dict[str, str]] = field(default_factory=dict)
    configuration: list[str] = field(default_factory=list)

    def play(self, name: str, scope: str, *arguments: str, playbook: str = "site.yml") -> None:
        """Play, and look at the machine afterwards."""
        hosts = {"one": docker_host(self.machine, **EVERYTHING, **HOOKS_OF[scope])}
        self.ends[name] = play(self.directory, hosts, *arguments, playbooks=[playbook])["one"]
        assert self.ends[name].failure == ""
        self.look(name)

    def uninstall(self, name: str, *arguments: str) -> None:
        """Take everything out that the last deployment had."""
        self.play(name, "user", *arguments, playbook="playbooks/uninstall.yml")

    def look(self, name: str) -> None:
        """Take a snapshot, and read the settings to the byte."""
        self.snapshots[name] = snapshot(self.machine)
        self.texts[name] = {path: self.read(path) for path in (ADAS, DANS, SHOPS)}

    def read(self, path: str) -> str:
        """Return a file's text with its newlines as they are, or nothing where there is none."""
        said = self.machine.run("sh", "-c", 'test ! -e "$0" || base64 "$0"', path)
        return base64.b64decode(said).decode()

    def edit(self, path: str, user: str, change: Callable[[str], str]) -> None:
        """Change a file as its owner does with an editor."""
        text = self.read(path)
        assert change(text) != text
        self.machine.write(path, change(text), user=user)

    def left(self, name: str) -> set[str]:
        """Return what is not as it was before the first deployment."""
        return self.snapshots[name].left_since(self.snapshots["before"])

    def owners(self, name: str, *paths: str) -> list[list[str]]:
        """Return kind, mode and owners of files."""
        return [self.snapshots[name].files[path].split()[:3] for path in paths]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Tell it: two deployments with an edit after each, and the machine uninstalled, again, and purged."""
    with container("ccpo-debian13-systemd", systemd=True) as machine:
        offer_grafana(machine, "11.0.0")
        machine.run("sh", "-c", PREPARE)
        for path, (user, mode, text) in THEIRS.items():
            machine.write(path, text, user=user)
            machine.run("chmod", mode, path)
        machine.run("mkdir", "/people/bob/.claude", user="bob")
        machine.run("ln", "-s", "../dotfiles/claude.json", BOBS, user="bob")
        told = Story(machine, tmp_path_factory.mktemp("taken-out"))
        told.look("before")
        told.play("project", "project")
        told.edit(SHOPS, "ada", shops_edit)
        told.play("user", "user", "--tags", "claude_hooks,claude_exporter,claude_telemetry,claude_doctor")
        told.edit(ADAS, "ada", adas_edit)
        told.edit(DANS, "dan", dans_edit)
        machine.write(GRAFANAS, "apiVersion: 1\n")
        told.uninstall("uninstalled")
        told.configuration = machine.run("sh", "-c", VERIFY).splitlines()
        told.uninstall("again")
        told.uninstall("purged", "-e", "uninstall_purge=true")
        yield told


def test_the_snapshots_see_what_a_deployment_brings(story: Story) -> None:
    deployed = story.snapshots["user"]
    assert OURS - deployed.files.keys() == set()
    assert {f"{unit}.service" for unit in UNITS.values()} - deployed.units == set()
    brought = {f"+ {path}" for path in OURS}
    assert brought - story.left("user") == set()


def test_a_scope_that_was_left_is_as_it_was_and_as_somebody_changed_it_meanwhile(story: Story) -> None:
    entered = {f"~ {SHOPS}", f"~ {BLOGS}", f"+ {BLOGS}.before-claude-code-observability"}
    assert entered - story.left("project") == set()
    assert {one for one in story.left("user") if "/checkouts" in one} == {f"~ {SHOPS}"}
    assert story.texts["user"][SHOPS] == shops_edit(THEIRS[SHOPS][2])


def test_uninstalling_leaves_data_an_account_and_what_others_wrote(story: Story) -> None:
    left = story.left("uninstalled")
    account = {one for one in left if one.startswith("+ accounts claude-exporter:")}
    assert len(account) == 2
    assert {one for one in left - account if not one.startswith(tuple(f"+ {path}" for path in DATA))} == {
        *EDITED,
        *GRAFANAS_SECRETS,
        f"+ {GRAFANAS}",
    }
    assert story.configuration == []


@pytest.mark.parametrize("end", ["uninstalled", "purged"])
def test_settings_are_to_the_byte_what_their_owners_made_of_them(story: Story, end: str) -> None:
    assert story.texts[end] == {
        ADAS: adas_edit(ADAS_TEXT),
        DANS: '{\n  "model": "opus"\n}\n',
        SHOPS: shops_edit(THEIRS[SHOPS][2]),
    }
    assert story.owners(end, ADAS, SHOPS) == story.owners("before", ADAS, SHOPS)
    ((_, _, dan),) = story.owners("before", "/people/dan")
    assert story.owners(end, DANS) == [["f", "-rw-------", dan]]


def test_uninstalling_twice_changes_nothing(story: Story) -> None:
    assert story.ends["again"].changes == []
    assert story.snapshots["again"].left_since(story.snapshots["uninstalled"]) == set()


def test_purging_leaves_nothing(story: Story) -> None:
    assert story.left("purged") == EDITED
    gone = {"/etc/grafana", "/var/log/grafana", "/var/lib/prometheus/metrics2", "/usr/bin/prometheus"}
    assert gone & story.snapshots["user"].files.keys() == gone
    assert gone & story.snapshots["purged"].files.keys() == set()
