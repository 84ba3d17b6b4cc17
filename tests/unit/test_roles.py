"""What every role must keep: its variables are specified, defaulted and named alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).parents[2] / "roles"
NAMES = sorted(path.parent.parent.name for path in ROLES.glob("*/meta/argument_specs.yml"))


def document(role: str, name: str) -> dict[str, Any]:
    path = ROLES / role / name
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def options(role: str) -> dict[str, Any]:
    entries = document(role, "meta/argument_specs.yml")["argument_specs"].values()
    return {name: option for entry in entries for name, option in (entry.get("options") or {}).items()}


@pytest.mark.parametrize("role", NAMES)
def test_defaults_and_specification_name_the_same_variables(role: str) -> None:
    optional = {name for name, option in options(role).items() if not option.get("required")}
    assert set(document(role, "defaults/main.yml")) == optional


@pytest.mark.parametrize("role", NAMES)
def test_the_specification_states_the_default_that_is_in_force(role: str) -> None:
    """A default that the host decides is a template; the specification says it in words."""
    defaults = {k: v for k, v in document(role, "defaults/main.yml").items() if "{{" not in str(v)}
    stated = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert {name: stated[name] for name in stated if name in defaults} == {
        name: defaults[name] for name in stated if name in defaults
    }


@pytest.mark.parametrize("role", NAMES)
def test_public_names_begin_with_the_roles_and_private_ones_with_two_underscores(role: str) -> None:
    assert [name for name in options(role) if not name.startswith(f"{role}_")] == []
    assert [name for name in document(role, "vars/main.yml") if not name.startswith(f"__{role}_")] == []


@pytest.mark.parametrize("role", NAMES)
def test_a_role_says_on_one_page_what_it_does(role: str) -> None:
    assert (ROLES / role / "README.md").read_text().startswith(f"# {role}\n")


@pytest.mark.parametrize("role", NAMES)
def test_a_variable_of_an_earlier_release_is_not_one_of_this_release_too(role: str) -> None:
    former = document(role, "meta/former.yml")
    assert set(former) & set(options(role)) == set()
    assert [name for name in former if not name.startswith(f"{role}_")] == []
