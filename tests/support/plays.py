"""Roles under test: containers to play them on, and what Ansible said, host by host and task by task."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / ".cache/client/node_modules/@anthropic-ai/claude-code-linux-x64/claude"
"""The real client: ./test fetches it."""
WITH_CLIENT = {
    str(CLIENT.resolve()): "/usr/local/bin/claude",
    str(ROOT / "tests/support"): "/usr/local/share/ccpo-tests",
}
"""What a container mounts in which it works."""
JSON_REPORT = {
    "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
}
"""Environment in which Ansible reports what it did as JSON."""
QUICKLY = {
    "ANSIBLE_STRATEGY": "mitogen_linear",
    "ANSIBLE_STRATEGY_PLUGINS": f"{sysconfig.get_path('purelib')}/ansible_mitogen/plugins/strategy",
}
"""Environment in which one interpreter per host runs all of a run's modules, instead of one for each.

That takes half of the time. The stories on bare machines and the first runs of scenarios other than
default go without it, as users do.
"""
EVERYTHING: Mapping[str, Any] = {
    "prometheus_scrape_interval": "5s",
    "claude_exporter_push_interval": 5,
    "claude_exporter_transport": "remote_write",
    "victoriametrics_enabled": True,
    "grafana_apt_url": "file:/srv/stand-in",
}
"""Variables of one machine with every service, soon to show a change; first `offer_grafana`."""
ON_CONTROLLER = {
    *("assert", "debug", "fail", "include_role", "include_tasks", "meta", "set_fact", "trust_store"),
    "validate_argument_spec",
}
"""Actions that never leave the controller."""
BOOT = "umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec /sbin/init"
SYSTEMD = [
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--tmpfs", "/run", "--tmpfs", "/tmp"),
]
PLAYBOOK = [
    {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {
                "ansible.builtin.include_role": {"name": "{{ part }}"},
                "loop": "{{ roles_under_test }}",
                "loop_control": {"loop_var": "part"},
                "tags": ["always"],
            }
        ],
    }
]


def on_the_host(result: dict[str, Any]) -> int:
    """Return how often a task reached its host, item by item, by what Ansible reports of it."""
    if result.get("skipped") or str(result.get("action", "")).rpartition(".")[2] in ON_CONTROLLER:
        return 0
    return len([item for item in result.get("results", [result]) if not item.get("skipped")])


@contextmanager
def container(
    image: str, *, systemd: bool, prepare: str = ":", mounts: Mapping[str, str] | None = None
) -> Iterator[Machine]:
    """Run a container while the block lasts.

    prepare: a shell command that runs in it first. mounts: what of this machine is seen where, read-only.
    """
    name = f"ccpo-test-{uuid.uuid4().hex[:12]}"
    options = [*(SYSTEMD if systemd else []), "--env", "container=docker"]
    for source, target in (mounts or {}).items():
        options += ["--volume", f"{source}:{target}:ro"]
    script = f"{prepare}\n{BOOT if systemd else 'exec sleep infinity'}"
    argv = ["docker", "run", "--detach", "--name", name, "--hostname", name, *options, image]
    subprocess.run([*argv, "/bin/sh", "-c", script], check=True, capture_output=True, timeout=60)
    try:
        yield Machine(name)
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True, timeout=60)


def offer_grafana(machine: Machine, *versions: str) -> None:
    """Put a repository with these versions of Grafana's stand-in on a machine, at file:/srv/stand-in."""
    machine.run("sh", "-c", "apt-get -q update && apt-get -qy install gpg gpg-agent", seconds=200)
    copy = ["docker", "cp", str(ROOT / "tests/support/grafana_stand_in"), f"{machine.name}:/srv/here"]
    subprocess.run(copy, check=True, capture_output=True, timeout=60)
    machine.run("/srv/here/build", "/srv/here", "/srv/stand-in", *versions, seconds=60)


def run_playbook(
    name: str, inventory: Path, *arguments: str, quickly: bool = True, seconds: float = 900
) -> tuple[int, str]:
    """Run a playbook of ours as an operator does; return its exit status and its output with single blanks.

    name: its path in the repository. inventory: the file of hosts, with the trust store beside it.
    quickly: run the modules as QUICKLY says.
    """
    done = subprocess.run(
        ["ansible-playbook", "-i", str(inventory), *arguments, name],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_NOCOLOR": "1"} | (QUICKLY if quickly else {}),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@dataclass(frozen=True)
class Played:
    """The end of a run: the count of changes and, where the host failed, the sentence it failed with.

    warnings: what it warned of, in order. results: the tasks that ran, by name, and what Ansible reports.
    """

    changed: int
    changes: list[str]
    failure: str
    warnings: list[str]
    results: list[tuple[str, dict[str, Any]]] = field(default_factory=list, repr=False)


def play(
    directory: Path,
    hosts: Mapping[str, Mapping[str, Any]],
    *arguments: str,
    roles: Sequence[str] = (),
    playbooks: Sequence[str] = (),
    seconds: float = 600,
) -> dict[str, Played]:
    """Play roles on hosts (name → variables) of the groups monitoring and developers, and return their ends.

    ``playbooks`` are those of the product, played instead, for roles that need what others know.
    ``directory`` keeps the inventory, and the trust store beside it, between runs.
    """
    members = {name: dict(variables) for name, variables in hosts.items()}
    names: dict[str, None] = dict.fromkeys(hosts)
    groups = {"monitoring": {"hosts": names}, "developers": {"hosts": names}}
    (directory / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": members, "children": groups}}))
    # By several on the command line those after the one in which a host fails would not be played.
    imports = [{"ansible.builtin.import_playbook": str(ROOT / book)} for book in playbooks]
    (directory / "play.yml").write_text(yaml.safe_dump(imports or PLAYBOOK))
    argv = ["ansible-playbook", "-i", str(directory / "hosts.yml"), str(directory / "play.yml"), *arguments]
    done = subprocess.run(
        [*argv, "-e", json.dumps({"roles_under_test": list(roles)})],
        cwd=ROOT,
        env=os.environ | JSON_REPORT | QUICKLY,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    try:
        report = json.loads(done.stdout[done.stdout.index("{") :])
    except ValueError as error:
        raise AssertionError(done.stdout + done.stderr) from error
    return {name: _end(report, name) for name in hosts if name in report["stats"]}


def _end(report: dict[str, Any], name: str) -> Played:
    changes, failure, said, results = [], "", [], []
    for task in (task for part in report["plays"] for task in part["tasks"]):
        result = task["hosts"].get(name, {})
        if result and not result.get("skipped"):
            results.append((task["task"]["name"], result))
        if result.get("changed"):
            changes.append(task["task"]["name"])
        said += [str(each.get("msg", "")) for each in (result, *result.get("results", []))]
        if result.get("failed"):
            parts = [item.get("msg", "") for item in result.get("results", []) if item.get("failed")]
            failure = " ".join(" ".join([*parts, str(result.get("msg", ""))]).split())
    warnings = [text for text in said if text.startswith("WARNING: ")]
    return Played(report["stats"][name]["changed"], changes, failure, warnings, results)


@dataclass(frozen=True)
class Case:
    """A host's variables and the sentence that its play must end with; an empty one: all is well."""

    role: str
    variables: dict[str, Any]
    sentence: str


def docker_host(machine: Machine, **variables: Any) -> dict[str, Any]:
    """Return the variables by which Ansible reaches a container, and more."""
    return {
        "ansible_connection": "docker",
        "ansible_host": machine.name,
        "ansible_python_interpreter": "/usr/bin/python3",
        **variables,
    }
