"""A role with variables of earlier releases: they are errors that say what took their place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLE = {
    "meta/argument_specs.yml": {
        "argument_specs": {"main": {"options": {"relic_port": {"type": "int", "default": 1}}}}
    },
    "meta/former.yml": {
        "relic_prot": "relic_port",
        "relic_colour": "The relic is grey; delete the variable.",
    },
    "defaults/main.yml": {"relic_port": 1},
    "tasks/main.yml": [
        {
            "name": "Refuse unknown variables",
            "ansible.builtin.include_role": {
                "name": "common",
                "rolespec_validate": False,
                "tasks_from": "variables",
            },
            "vars": {"common_role": "relic"},
        },
        {"name": "Go on", "ansible.builtin.debug": {"msg": "The relic went on."}},
    ],
}
PLAYBOOK = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "roles": ["relic"]}]


@pytest.fixture(scope="module")
def playbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a playbook with that role, beside the common one."""
    directory = tmp_path_factory.mktemp("relic")
    shutil.copytree(ROOT / "roles/common", directory / "roles/common")
    for name, content in ROLE.items():
        path = directory / "roles/relic" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    path = directory / "play.yml"
    path.write_text(yaml.safe_dump(PLAYBOOK))
    return path


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"relic_port": 2}, ""),
        ({"relic_prot": 2}, "relic_prot is now called relic_port: rename it in the inventory."),
        (
            {"relic_colour": "red"},
            "relic_colour is no longer a variable of role relic: The relic is grey; delete the variable.",
        ),
        ({"relic_prt": 2}, "relic_prt is not a variable of role relic: did you mean relic_port?"),
    ],
    ids=["present", "renamed", "removed", "misspelt"],
)
def test_a_former_variable_stops_the_role_and_names_its_successor(
    playbook: Path, variables: dict[str, object], sentence: str
) -> None:
    done = subprocess.run(
        ["ansible-playbook", "-i", "localhost,", str(playbook), "-e", json.dumps(variables)],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_ROLES_PATH": str(playbook.parent / "roles")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    said = " ".join(done.stdout.split())
    assert (done.returncode == 0) == (sentence == ""), done.stdout
    assert ("The relic went on." in said) == (sentence == "")
    assert sentence in said
