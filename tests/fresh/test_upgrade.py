"""An upgrade from the previous release loses no number, no silence and nothing that the operator has set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fresh.story import expected
from tests.fresh.test_deploy import recap
from tests.fresh.upgrade import PREVIOUS

if TYPE_CHECKING:
    from tests.fresh.story import Story
    from tests.fresh.upgrade import Upgrade

pytestmark = pytest.mark.timeout(2600)  # as of test_deploy, whichever comes first


@pytest.fixture(scope="module")
def upgraded(stories: dict[str, Story]) -> Upgrade:
    """Return what happened on the machine that was upgraded."""
    upgrade = stories["debian-13-systemd"].upgrade
    if upgrade is None:
        pytest.skip(
            f"the previous release, {PREVIOUS}, is not in this clone: git fetch --unshallow brings it"
        )
    return upgrade


def test_the_previous_release_counted_exactly(upgraded: Upgrade) -> None:
    assert upgraded.before.numbers == expected(upgraded.account)
    assert upgraded.before.teams == {("data",): sum(upgraded.before.numbers["calls"].values())}


def test_an_upgrade_keeps_configuration_numbers_and_silences(upgraded: Upgrade) -> None:
    assert upgraded.first.status == 0, upgraded.first.output
    assert upgraded.after == upgraded.before
    assert upgraded.after.retention == "33d"
    assert upgraded.after.budgets == {("data", "day"): 80.0, ("data", "month"): 1200.0}
    assert upgraded.after.receivers == ["nobody", "bot"]
    assert upgraded.after.silences == ["kept"]
    assert upgraded.after.persistence == "7s"
    assert upgraded.after.guard_timeouts == {12}
    assert upgraded.after.telemetry == "team=data"


def test_a_second_deploy_after_it_changes_nothing(upgraded: Upgrade) -> None:
    assert upgraded.second.status == 0, upgraded.second.output
    assert recap(upgraded.second.output)["changed"] == 0


def test_counting_goes_on_where_it_stopped(upgraded: Upgrade) -> None:
    assert upgraded.went_on == expected(*upgraded.accounts)
