"""Measure a run: `python3 bench/deploy.py` deploys to a container twice, beside a bare play.

A bare play is `ping` and, in turn, `copy` of a file that is there already: one of as many tasks as the second
run had, which is the aim's measure, and one of as many as reached the host. All are played in turns, so that
a busy machine is equally busy for all.
That is done for the whole site on one host, and for a developer's part of it, encrypted as in a fleet.
Before that it measures what the controller takes to render targets, certificates and passwords of 500 hosts.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import yaml  # noqa: E402

from tests.support.plays import JSON_REPORT, container, docker_host, on_the_host  # noqa: E402

ROUNDS = 3
MANY = 500
AIM = 1.5
RENDER = [
    {
        "hosts": "monitoring",
        "gather_facts": False,
        "vars": {"trust_enabled": True},
        "tasks": [
            {
                "ansible.builtin.set_fact": {
                    "targets": "{{ groups['developers'] | scrape_targets(hostvars, here='') }}"
                }
            },
            {"ansible.builtin.include_role": {"name": "trust"}},
        ],
    }
]


def play(playbook: Path, inventory: Path, *arguments: str) -> tuple[float, dict[str, Any]]:
    """Run a playbook; return its wall time in seconds and Ansible's report."""
    started = time.monotonic()
    done = subprocess.run(
        ["ansible-playbook", "-i", str(inventory), *arguments, str(playbook)],
        cwd=ROOT,
        env=os.environ | JSON_REPORT,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return seconds, json.loads(done.stdout[done.stdout.index("{") :])


def reached(report: dict[str, Any]) -> tuple[int, int]:
    """Count the tasks that ran, and those of them, item by item, that reached the host."""
    ran = there = 0
    for task in (task for part in report["plays"] for task in part["tasks"]):
        for result in task["hosts"].values():
            ran += not result.get("skipped")
            there += on_the_host(result)
    return ran, there


def bare(tasks: int) -> list[dict[str, Any]]:
    """Return a play of so many tasks, ping and copy in turn."""
    ping: dict[str, Any] = {"ansible.builtin.ping": {}}
    copy = {"ansible.builtin.copy": {"content": "here\n" * 200, "dest": "/root/here", "mode": "0644"}}
    return [
        {
            "hosts": "developers",
            "become": True,
            "gather_facts": False,
            "tasks": [copy if number % 2 else ping for number in range(tasks)],
        }
    ]


def compare(directory: Path) -> None:
    """Deploy to one container; play the developers' part, and the site, in turns with a bare play."""
    with container("ccpo-debian13-systemd", systemd=True) as machine:
        inventory = directory / "hosts.yml"
        names = {"hosts": {"both": None}}
        host = docker_host(machine, grafana_unreachable="skip", trust_enabled=True)
        groups = {"monitoring": names, "developers": names}
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {"both": host}, "children": groups}}))
        for name in ("playbooks/developers.yml", "site.yml"):
            play(ROOT / name, inventory)
            in_turns(name, inventory, directory / "bare.yml")


def in_turns(name: str, inventory: Path, plain: Path) -> None:
    """Play a playbook that has nothing to change and bare plays in turns, and print their ratios."""
    _, report = play(ROOT / name, inventory)
    ran, there = reached(report)
    books = {0: ROOT / name}
    for tasks in (ran, there):
        books[tasks] = plain.with_name(f"bare-{tasks}.yml")
        books[tasks].write_text(yaml.safe_dump(bare(tasks)))
    taken: dict[int, list[float]] = {tasks: [] for tasks in books}
    for _ in range(ROUNDS):
        for tasks, book in books.items():
            taken[tasks].append(play(book, inventory)[0])
    mine = statistics.median(taken[0])
    print(f"{f'{name} again: {ran} tasks, {there} of them on the host':60} {mine:6.1f} s")
    for tasks, aim in ((ran, f"     aim <= {AIM}"), (there, "")):
        other = statistics.median(taken[tasks])
        print(f"{f'ping and copy: {tasks} tasks':60} {other:6.1f} s")
        print(f"{'ratio':60} {mine / other:6.2f}{aim}", flush=True)


def render(directory: Path) -> None:
    """Print how long the controller takes for what it renders of many hosts."""
    inventory, playbook = directory / "many.yml", directory / "render.yml"
    developers = {f"dev-{number:03}.example.com": None for number in range(MANY)}
    scraped = {"claude_exporter_transport": "scrape"}
    inventory.write_text(
        yaml.safe_dump(
            {
                "all": {
                    "children": {
                        "monitoring": {"hosts": {"monitor.example.com": None}},
                        "developers": {"hosts": developers, "vars": scraped},
                    }
                }
            }
        )
    )
    playbook.write_text(yaml.safe_dump(RENDER))
    first, report = play(playbook, inventory)
    targets = next(
        result["ansible_facts"]["targets"]
        for task in report["plays"][0]["tasks"]
        for result in task["hosts"].values()
        if "targets" in result.get("ansible_facts", {})
    )
    again, _ = play(playbook, inventory)
    print(f"{f'{len(targets)} hosts: targets, certificates, passwords':60} {first:6.1f} s     aim <= 20 s")
    print(f"{'the same again':60} {again:6.1f} s     aim <= 20 s", flush=True)


def main() -> None:
    """Run both measurements."""
    with tempfile.TemporaryDirectory() as directory:
        render(Path(directory))
        compare(Path(directory))


if __name__ == "__main__":
    main()
