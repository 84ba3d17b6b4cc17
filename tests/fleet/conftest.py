"""The fleet of the Molecule scenario ``fleet``, converged over SSH, with the real client on it."""

from __future__ import annotations

import pytest

from tests.support.doors import Scene
from tests.support.fleet import Fleet, passwords


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    """Return the fleet: a monitoring host, and a developer's host for each transport."""
    return Fleet.deployed("fleet-monitor", ("fleet-dev-push", "fleet-dev-scrape", "fleet-dev-write"))


@pytest.fixture(scope="session")
def scene(fleet: Fleet) -> Scene:
    """Return the fleet as somebody sees it who wants in."""
    return Scene(fleet, passwords())


@pytest.fixture(scope="module")
def standing(scene: Scene) -> dict[str, str]:
    """Return process and start of every daemon, as they were before a module's first test."""
    return scene.standing()
