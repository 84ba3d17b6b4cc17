"""Roles under test: containers to play them on, and what Ansible said, host by host and task by task."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[2]
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


@contextmanager
def container(image: str, *, systemd: bool, prepare: str = ":") -> Iterator[Machine]:
    """Run a container while the block lasts; ``prepare`` is a shell command that runs in it first."""
    name = f"ccpo-test-{uuid.uuid4().hex[:12]}"
    options = [*(SYSTEMD if systemd else []), "--env", "container=docker"]
    script = f"{prepare}\n{BOOT if systemd else 'exec sleep infinity'}"
    argv = ["docker", "run", "--detach", "--name", name, "--hostname", name, *options, image]
    subprocess.run([*argv, "/bin/sh", "-c", script], check=True, capture_output=True, timeout=60)
    try:
        yield Machine(name)
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True, timeout=60)


@dataclass(frozen=True)
class Played:
    """The end of a run: the count of changes and, where the host failed, the sentence it failed with."""

    changed: int
    changes: list[str]
    failure: str


def play(
    directory: Path,
    hosts: Mapping[str, Mapping[str, Any]],
    *arguments: str,
    roles: Sequence[str],
    seconds: float = 600,
) -> dict[str, Played]:
    """Play roles on hosts (name → variables) of the groups monitoring and developers, and return their ends.

    ``directory`` keeps the inventory, and the trust store beside it, between runs.
    """
    members = {name: dict(variables) for name, variables in hosts.items()}
    names: dict[str, None] = dict.fromkeys(hosts)
    groups = {"monitoring": {"hosts": names}, "developers": {"hosts": names}}
    (directory / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": members, "children": groups}}))
    (directory / "play.yml").write_text(yaml.safe_dump(PLAYBOOK))
    argv = ["ansible-playbook", "-i", str(directory / "hosts.yml"), str(directory / "play.yml"), *arguments]
    done = subprocess.run(
        [*argv, "-e", json.dumps({"roles_under_test": list(roles)})],
        cwd=ROOT,
        env={
            **os.environ,
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        },
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
    changes, failure = [], ""
    for task in (task for part in report["plays"] for task in part["tasks"]):
        result = task["hosts"].get(name, {})
        if result.get("changed"):
            changes.append(task["task"]["name"])
        if result.get("failed"):
            parts = [item.get("msg", "") for item in result.get("results", []) if item.get("failed")]
            failure = " ".join(" ".join([*parts, str(result.get("msg", ""))]).split())
    return Played(changed=report["stats"][name]["changed"], changes=changes, failure=failure)


def docker_host(machine: Machine, **variables: Any) -> dict[str, Any]:
    """Return the variables by which Ansible reaches a container, and more."""
    return {
        "ansible_connection": "community.docker.docker",
        "ansible_host": machine.name,
        "ansible_python_interpreter": "/usr/bin/python3",
        **variables,
    }
