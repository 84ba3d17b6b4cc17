"""The fleet of a Molecule scenario, converged, with the real client on it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.fleet import Fleet


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    """Return the fleet that the scenario's inventory has."""
    inventory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / "ansible_inventory.yml"
    groups: dict[str, Any] = yaml.safe_load(inventory.read_text())
    (monitor,) = groups["monitoring"]["hosts"]
    return Fleet.deployed(monitor, sorted(groups["developers"]["hosts"]))
