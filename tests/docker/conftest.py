"""The fleet of the Molecule scenario ``docker``, converged, with the real client on it."""

from __future__ import annotations

import pytest

from tests.support.fleet import Fleet


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    """Return the fleet: a monitoring host whose services are containers, and a developer's host."""
    return Fleet.deployed("docker-monitor", ("docker-dev",))
