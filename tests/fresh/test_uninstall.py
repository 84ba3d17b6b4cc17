"""Uninstalling leaves a machine as it was: all of it is looked at before the first deploy, and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fresh.story import CUTS, HOME, SETTINGS, THEIRS
from tests.fresh.test_deploy import recap

if TYPE_CHECKING:
    from tests.fresh.story import Story

pytestmark = pytest.mark.timeout(2600)  # as of test_deploy, whichever comes first
DATA = ("/var/lib/claude-code-observability", "/var/lib/prometheus/", "/var/log/claude-code-exporter.log")


def test_uninstalling_leaves_the_data_their_account_and_nothing_else(story: Story) -> None:
    assert story.uninstalled.status == 0, story.uninstalled.output
    account = {one for one in story.left if one.startswith("+ accounts claude-exporter:")}
    assert len(account) == 2
    assert {
        one for one in story.left - account if not one.startswith(tuple(f"+ {path}" for path in DATA))
    } == set()
    assert "+ /var/lib/claude-code-observability/ledger/ledger.sqlite" in story.left


def test_the_hosts_group_is_deleted_from_the_pushgateway_and_those_of_others_are_not(story: Story) -> None:
    assert story.groups_left == ["theirs"]


def test_uninstalling_twice_changes_nothing(story: Story) -> None:
    assert story.uninstalled_again.status == 0, story.uninstalled_again.output
    assert recap(story.uninstalled_again.output)["changed"] == 0


def test_purging_leaves_nothing(story: Story) -> None:
    assert story.purged.status == 0, story.purged.output
    assert story.left_after_purge == set()


def test_what_others_wrote_is_as_they_wrote_it(story: Story, request: pytest.FixtureRequest) -> None:
    theirs = THEIRS[request.node.callspec.params["story"]]
    assert story.theirs == {f"{HOME}/.claude/settings.json": SETTINGS, **theirs}


@pytest.mark.parametrize("cut", CUTS)
def test_a_host_that_was_only_half_installed_is_cleaned_too(stories: dict[str, Story], cut: str) -> None:
    half = stories["debian-12"].halves[cut]
    assert half.uninstalled.status == 0, half.uninstalled.output
    assert recap(half.uninstalled.output)["changed"] > 0
    assert half.left == set()
