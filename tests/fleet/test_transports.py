"""Whatever way its numbers take, a host's sessions end as exact numbers under the same labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import Round
from tests.support.story import Turn, bash

if TYPE_CHECKING:
    from tests.support.fleet import Fleet
    from tests.support.story import Script

SCRIPT: Script = (
    Turn((bash("echo hello"),)),
    Turn((bash("ls /no/such/directory", outcome="failure"),)),
    Turn(text="Done."),
)


@pytest.fixture(scope="module")
def played(fleet: Fleet) -> Round:
    """Play the same sessions on every host, at once."""
    sessions = Round.of(fleet, "ways")
    for host in fleet.developers:
        sessions.start("alice", host, SCRIPT)
        sessions.start("bob", host, SCRIPT)
    sessions.finish()
    return sessions


def test_each_transport_is_exact(played: Round) -> None:
    played.assert_exact()
