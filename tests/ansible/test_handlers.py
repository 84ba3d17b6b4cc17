"""Check mode, handlers, tags and mistakes on one machine with everything: what is said is done, no more."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.fresh.snapshot import snapshot
from tests.support.changes import CHANGES, UNITS
from tests.support.machine import eventually
from tests.support.plays import EVERYTHING, ROOT, container, docker_host, offer_grafana, play

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fresh.snapshot import Snapshot
    from tests.support.machine import Machine
    from tests.support.plays import Played

pytestmark = pytest.mark.timeout(1800)
RECORDS = "/var/lib/claude-code-observability-daemons"
ASK = """
import base64, sys, urllib.error, urllib.request
request = urllib.request.Request("http://127.0.0.1:" + sys.argv[1])
if len(sys.argv) > 2:
    request.add_header("Authorization", "Basic " + base64.b64encode(sys.argv[2].encode()).decode())
try:
    print(urllib.request.urlopen(request, timeout=10).read().decode())
except OSError as error:
    print(error)
"""


# One of each daemon, all written by a run that then ends.
OWED = [
    "Reload prometheus",
    "Restart pushgateway",
    "Reload alertmanager",
    "Restart grafana",
    "Restart victoriametrics",
    "Restart the exporter",
    "Reload the agent",
]
# Played together, each of another daemon; those that a group leaves out are not touched.
GROUPS = {
    "first": ["Restart prometheus", "Reload alertmanager", "Restart victoriametrics"],
    "second": ["Restart alertmanager", "Change grafana's password", "Restart the agent"],
}
# What only the daemon itself finds wrong.
MISTAKES: dict[str, tuple[str, Any]] = {
    "prometheus": ("prometheus_scrape_configs_extra", [{"job_name": "x", "nonsense": 1}]),
    "alertmanager": ("alertmanager_flags_extra", {"no.such": "flag"}),
    "pushgateway": ("pushgateway_flags_extra", {"no.such": "flag"}),
    "victoriametrics": ("victoriametrics_flags_extra", {"noSuch": "flag"}),
}
# What tasks change whose output may hold secrets.
HIDDEN = [
    ("grafana : Generate what is secret, once", "/etc/grafana/claude-code-observability/secret-key"),
    ("grafana : Generate what is secret, once", "/etc/grafana/claude-code-observability/admin-password"),
    (
        "grafana : Install the administrator's password that the inventory gives",
        "/etc/grafana/claude-code-observability/admin-password",
    ),
]
# Commands, which check mode does not run.
COMMANDS = {"grafana : Grafana learns the new password"}
# Packages, which check mode cannot ask whether they come with one another, and daemons that they bring.
NO_FILES = re.compile(
    r": Install the packages without|anew$|: Restart the exporter$|: Bring the service to its state"
)
# What daemons and packages write by themselves once they are there.
THEIRS = re.compile(
    r"/var/lib/(prometheus|grafana|victoria-metrics)(/|$)"
    r"|/var/lib/claude-code-observability/(agent|journal|ledger)/"
    r"|/var/(log|tmp)/|/etc/systemd/system/[^/]+[.]wants(/|$)|/etc/rc[0-6S][.]d/|.*/__pycache__(/|$)"
)


def broken_off(*roles: str) -> list[dict[str, Any]]:
    """Return a playbook that writes the configuration of roles and ends before their handlers."""
    tasks = [{"ansible.builtin.include_role": {"name": role, "tasks_from": "configure"}} for role in roles]
    return [
        {
            "hosts": "all",
            "gather_facts": True,
            "gather_subset": ["!all", "!min", "distribution", "service_mgr"],
            "tasks": [*tasks, {"ansible.builtin.fail": {"msg": "The connection broke off."}}],
        }
    ]


def written_for(name: str) -> frozenset[str]:
    """Return the files that a change writes: its own, and what the daemon has read then."""
    change = CHANGES[name]
    return change.files | {f"{RECORDS}/{UNITS[change.role]}.json"}


def named(end: Played) -> set[str]:
    """Return the paths that a run names where it changes something, and those that it keeps to itself."""
    found = []
    for _, result in end.results:
        for part in (one for one in result.get("results", [result]) if one.get("changed")):
            found += [part.get("dest"), part.get("path"), *part.get("stdout_lines", [])]
            found += [change.rpartition(" ")[2] for change in part.get("changes", [])]
            diffs = part.get("diff") or []
            for diff in diffs if isinstance(diffs, list) else [diffs]:
                before = diff.get("before")
                found += [diff.get("before_header"), before.get("path") if isinstance(before, dict) else None]
    paths = {text for text in found if text and text.startswith("/") and " " not in text}
    return paths | {path for task, path in HIDDEN if task in end.changes}


@dataclass
class Host:
    """The machine with everything on it, and the variables that it was deployed with last."""

    machine: Machine
    directory: Path
    variables: dict[str, Any]

    def deploy(self, *arguments: str, playbook: str = "site.yml") -> Played:
        """Play with the variables as they are."""
        hosts = {"one": docker_host(self.machine, **self.variables)}
        return play(self.directory, hosts, *arguments, playbooks=[playbook], seconds=900)["one"]

    def toggle(self, *names: str) -> None:
        """Set the variables of changes, or take them out again where they are set."""
        for change in (CHANGES[name] for name in names):
            if change.variable in self.variables:
                del self.variables[change.variable]
            else:
                self.variables[change.variable] = change.value

    def pids(self) -> dict[str, int]:
        """Return the process of every daemon, by its role."""
        said = self.machine.run("systemctl", "show", "--value", "--property=MainPID", *UNITS.values())
        return dict(zip(UNITS, map(int, said.split()), strict=True))

    def right(self, name: str) -> bool:
        """Say whether the daemon itself shows a change as the variables have it; it may take a moment."""
        change = CHANGES[name]
        wanted = change.variable in self.variables

        def shown() -> bool:
            if not change.ask:
                pid = self.pids()[change.role]
                return change.says in self.machine.run("cat", f"/proc/{pid}/cmdline")
            password = self.machine.run("cat", "/etc/grafana/claude-code-observability/admin-password")
            user = self.variables.get("grafana_admin_user", "admin")
            ask = [part.format(user=user, password=password) for part in change.ask]
            return change.says in self.machine.run("python3", "-c", ASK, *ask)

        return eventually(lambda: shown() == wanted, accept=bool, seconds=15)

    def mark(self) -> None:
        """Remember the moment from which on changed files are told."""
        self.machine.run("sh", "-c", "sleep 0.02; touch /root/mark; sleep 0.02")

    def written(self) -> set[str]:
        """Return the files that were written since, but those that Ansible keeps for itself."""
        look = (
            "find /etc /usr/local /opt /root /var/lib/claude-code-observability-* -type f -cnewer /root/mark "
            "! -path '/root/.ansible*' ! -name '*.pyc'"
        )
        return set(self.machine.run("sh", "-c", look).split())


@dataclass(frozen=True)
class First:
    """What the first deployment was said to change, in check mode, and what it changed."""

    refused: dict[str, Played]
    said: Played
    before: Snapshot
    checked: Snapshot
    done: Played
    after: Snapshot


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Yield a new machine with a repository for Grafana's stand-in."""
    with container("ccpo-debian13-systemd", systemd=True) as machine:
        offer_grafana(machine, "11.0.0", "11.6.0")
        yield Host(machine, tmp_path_factory.mktemp("handlers"), dict(EVERYTHING))


@pytest.fixture(scope="module")
def first(host: Host) -> First:
    """Deploy to the new machine, after phases that it is not ready for and check mode."""
    before = snapshot(host.machine)
    refused = {tag: host.deploy("--tags", tag) for tag in ("configure", "service")}
    said = host.deploy("--check", "--diff")
    checked = snapshot(host.machine)
    done = host.deploy("--diff")
    return First(refused, said, before, checked, done, snapshot(host.machine))


@pytest.fixture(scope="module")
def deployed(host: Host, first: First) -> Host:
    """Return the host once everything is on it."""
    assert first.done.failure == ""
    return host


def test_a_later_phase_is_refused_in_a_sentence_where_nothing_is_installed(first: First) -> None:
    for tag in ("configure", "service"):
        assert first.refused[tag].failure == (
            f"victoria-metrics is not installed on one, and --tags {tag} does not install it: "
            "run ./deploy without --tags first, or with --tags victoriametrics."
        )
        assert first.refused[tag].changes == []


def test_check_mode_on_a_new_host_names_what_the_first_run_changes_and_changes_nothing(first: First) -> None:
    assert first.said.failure == ""
    assert first.checked.left_since(first.before) == set()
    said, did = (
        [task for task in end.changes if not NO_FILES.search(task)] for end in (first.said, first.done)
    )
    assert said == did
    done = named(first.done)
    above = {str(parent) for path in done for parent in Path(path).parents}
    changed = {one[2:] for one in first.after.differs_from(first.before)}
    brought = {one[2:] for one in first.after.left_since(first.before) if one[2] == "/"}
    assert done - changed == set()
    assert {path for path in brought - above if not THEIRS.match(path)} - done == set()


def test_every_tag_is_documented() -> None:
    listed = subprocess.run(
        ["ansible-playbook", "--list-tags", "site.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    tags = {tag for found in re.findall(r"TAGS: \[(.*)\]", listed.stdout) for tag in found.split(", ") if tag}
    page = (ROOT / "docs/deploy.md").read_text().split("## Tags\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*`) \|", page, re.MULTILINE)
    assert {tag.strip("`") for row in rows for tag in row.split(", ")} == tags


def test_every_handler_of_every_role_has_its_change() -> None:
    topics = {
        (path.parts[-3], handler.get("listen", handler["name"]))
        for path in ROOT.glob("roles/*/handlers/main.yml")
        for handler in yaml.safe_load(path.read_text())
    }
    assert {(change.role, name) for name, change in CHANGES.items()} == topics


@pytest.mark.parametrize("phase", ["preflight,install", "configure", "service,selfcheck"])
def test_some_phases_alone_run_where_everything_is_and_change_nothing(deployed: Host, phase: str) -> None:
    end = deployed.deploy("--tags", phase)
    assert (end.failure, end.changes) == ("", [])


@pytest.mark.parametrize("role", MISTAKES)
def test_what_a_daemon_would_not_take_is_not_installed_and_it_goes_on_as_it_was(
    deployed: Host, role: str
) -> None:
    variable, value = MISTAKES[role]
    before = deployed.pids()
    deployed.mark()
    deployed.variables[variable] = value
    try:
        end = deployed.deploy("--tags", role)
    finally:
        del deployed.variables[variable]
    assert end.failure == "failed to validate"
    assert (deployed.written(), deployed.pids()) == (set(), before)


def test_what_a_run_that_broke_off_owes_the_next_makes_up_for_and_then_nothing_is_left(
    deployed: Host,
) -> None:
    before = deployed.pids()
    deployed.toggle(*OWED)
    playbook = deployed.directory / "broken-off.yml"
    playbook.write_text(yaml.safe_dump(broken_off(*UNITS)))
    assert deployed.deploy(playbook=str(playbook)).failure == "The connection broke off."
    assert deployed.pids() == before
    end = deployed.deploy("--tags", ",".join([*UNITS, "claude_doctor"]))
    assert end.failure == ""
    after = deployed.pids()
    assert [name for name in OWED if not deployed.right(name)] == []
    restarted = {CHANGES[name].role for name in OWED if CHANGES[name].restarts}
    assert {role for role in UNITS if after[role] != before[role]} == restarted
    again = deployed.deploy("--check", "--diff")
    assert (again.failure, again.changes) == ("", [])


@pytest.mark.parametrize("group", GROUPS)
def test_a_variable_and_its_roles_tag_bring_in_what_check_mode_said_and_nothing_else(
    deployed: Host, group: str
) -> None:
    names = GROUPS[group]
    tags = ",".join(CHANGES[name].role for name in names)
    before = deployed.pids()
    deployed.toggle(*names)
    deployed.mark()
    said = deployed.deploy("--check", "--diff", "--tags", tags)
    assert (said.failure, deployed.written(), deployed.pids()) == ("", set(), before)
    done = deployed.deploy("--diff", "--tags", tags)
    assert done.failure == ""
    assert said.changes == [task for task in done.changes if task not in COMMANDS]
    written = {path for name in names for path in written_for(name)}
    assert (named(said), named(done), deployed.written()) == (written, written, written)
    assert [name for name in names if not deployed.right(name)] == []
    after = deployed.pids()
    restarted = {CHANGES[name].role for name in names if CHANGES[name].restarts}
    assert {role for role in UNITS if after[role] != before[role]} == restarted


def test_without_systemd_too_the_next_run_makes_up_for_one_that_broke_off(tmp_path: Path) -> None:
    playbook = tmp_path / "broken-off.yml"
    playbook.write_text(yaml.safe_dump(broken_off("pushgateway")))
    line = "tr '\\0' ' ' </proc/$(cat /run/prometheus/prometheus-pushgateway.pid)/cmdline"
    with container("ccpo-debian13-systemd", systemd=False) as machine:
        hosts = {"one": docker_host(machine)}
        assert play(tmp_path, hosts, roles=["pushgateway"])["one"].failure == ""
        hosts["one"]["pushgateway_persistence_interval"] = "77s"
        end = play(tmp_path, hosts, playbooks=[str(playbook)])["one"]
        assert end.failure == "The connection broke off."
        assert "--persistence.interval=1m " in machine.run("sh", "-c", line)
        assert play(tmp_path, hosts, roles=["pushgateway"])["one"].failure == ""
        assert "--persistence.interval=77s" in machine.run("sh", "-c", line)
        assert play(tmp_path, hosts, roles=["pushgateway"])["one"].changes == []
