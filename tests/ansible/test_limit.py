"""A run for a part of a fleet leaves the rest as it was; a host that fails stops nobody, a batch the run."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.plays import JSON_REPORT, ROOT, play

if TYPE_CHECKING:
    from pathlib import Path

HERE = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}


def files(store: Path) -> dict[str, bytes]:
    """Return the content of every file of a store by its name."""
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def test_a_new_host_alone_gets_a_certificate_and_nobody_elses_changes(tmp_path: Path) -> None:
    fleet = {"monitor": HERE, "dev-01": HERE, "dev-02": HERE}
    assert [end.failure for end in play(tmp_path, fleet, roles=["trust"]).values()] == [""] * 3
    before = files(tmp_path / ".trust")
    ends = play(tmp_path, {**fleet, "dev-03": HERE}, "--limit", "dev-03", roles=["trust"])
    assert {name: end.failure for name, end in ends.items()} == {"dev-03": ""}
    after = files(tmp_path / ".trust")
    assert sorted(after.keys() - before.keys()) == ["hosts/dev-03.crt", "hosts/dev-03.key"]
    assert {name: after[name] for name in before} == before


# Batches are made in the order of the names. A host with a misspelt variable fails.
@pytest.mark.parametrize(
    ("at_once", "expected"),
    [
        pytest.param(2, {"a-bad": False, "b-good": True, "c-good": True}, id="one-of-a-batch"),
        pytest.param(1, {"a-bad": False}, id="a-whole-batch"),
    ],
)
def test_a_host_that_fails_stops_nobody_and_a_batch_that_fails_the_run(
    tmp_path: Path, at_once: int, expected: dict[str, bool]
) -> None:
    here = {**HERE, "ansible_become": False, "trust_enabled": False}
    hosts = {"a-bad": {**here, "trust_nmaes": []}, "b-good": here, "c-good": here}
    groups = {"monitoring": {"hosts": {"b-good": None}}, "developers": {"hosts": dict.fromkeys(hosts)}}
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "children": groups}}))
    argv = ["ansible-playbook", "-i", str(inventory), "playbooks/developers.yml", "--tags", "trust"]
    done = subprocess.run(
        [*argv, "-e", f"deploy_at_once={at_once}"],
        cwd=ROOT,
        env=os.environ | JSON_REPORT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    stats = json.loads(done.stdout[done.stdout.index("{") :])["stats"]
    assert {host: not end["failures"] for host, end in stats.items()} == expected
