"""What must hold before anything is changed is said in one sentence when it does not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.plays import run_playbook

if TYPE_CHECKING:
    from pathlib import Path

MONITOR = "monitoring: {hosts: {m1: {}}}"
DEVELOPER = "developers: {hosts: {d1: {}}}"


def look(inventory: Path, *arguments: str) -> tuple[int, str]:
    """Run the first play on an inventory; return its exit status and what was printed."""
    return run_playbook("playbooks/ground.yml", inventory, *arguments, seconds=60)


def inventory(directory: Path, *groups: str) -> Path:
    path = directory / "hosts.yml"
    path.write_text(
        "all:\n  children:\n" + "".join(f"    {group}\n" for group in groups) if groups else "all: {}\n"
    )
    return path


def test_one_monitoring_host_and_a_developers_host_are_enough(tmp_path: Path) -> None:
    assert look(inventory(tmp_path, MONITOR, DEVELOPER))[0] == 0


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        pytest.param(
            (), 'The group "monitoring" must hold exactly one host and holds none', id="no-host-at-all"
        ),
        pytest.param(
            (DEVELOPER,), 'The group "monitoring" must hold exactly one host and holds none', id="no-monitor"
        ),
        pytest.param(
            ("monitoring: {hosts: {m1: {}, m2: {}}}", DEVELOPER),
            'The group "monitoring" must hold exactly one host and holds m1, m2',
            id="two-monitors",
        ),
        pytest.param((MONITOR,), 'The group "developers" is empty', id="no-developer"),
    ],
)
def test_an_inventory_that_makes_no_sense_is_refused(
    tmp_path: Path, groups: tuple[str, ...], sentence: str
) -> None:
    status, output = look(inventory(tmp_path, *groups))
    assert status != 0
    assert sentence in output


def test_a_limit_does_not_go_round_the_check(tmp_path: Path) -> None:
    status, output = look(inventory(tmp_path, DEVELOPER), "--limit", "d1")
    assert status != 0
    assert "must hold exactly one host and holds none" in output


def test_an_ansible_core_that_is_too_old_is_refused(tmp_path: Path) -> None:
    status, output = look(inventory(tmp_path, MONITOR, DEVELOPER), "-e", "oldest_ansible_core=99.0")
    assert status != 0
    assert re.search(r"need ansible-core 99\.0 or later and this one is [\d.]+: run \./deploy", output)
