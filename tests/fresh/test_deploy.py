"""A bare machine becomes the working product with one command, and a real session ends as exact numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.fresh.story import HOME, SCRIPT, expected

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fresh.story import Story

pytestmark = pytest.mark.timeout(2600)  # the first test waits for both machines' whole stories


def recap(output: str) -> dict[str, int]:
    """Return the counts of Ansible's recap of the one host."""
    found = re.findall(r"^localhost +: (ok=.*)$", output, re.MULTILINE)
    assert len(found) == 1, output
    return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", found[0])}


def test_somebody_who_may_not_install_reads_one_sentence_and_nothing_is_changed(story: Story) -> None:
    assert story.refused.status == 1
    assert story.refused.output == (
        'deploy: user "nobody" may not install here (neither root nor sudo): '
        "run it as root or as a user with sudo; nothing was changed.\n"
    )
    assert story.changed_by_refusal == set()


def test_deploy_ends_with_the_addresses_and_a_canary_seen_in_prometheus(story: Story) -> None:
    assert "http://127.0.0.1:9090" in story.first.output
    assert re.search(r"Self-check: .* 1 of 1 ", story.first.output)


def test_the_client_worked_through_the_whole_script(story: Story) -> None:
    assert story.account.text == "Done."
    assert story.served == len(SCRIPT)
    assert story.account.micros > 0


def test_prometheus_knows_exactly_what_the_session_did_and_cost(story: Story) -> None:
    assert story.numbers == expected(story.account)


def test_what_the_guard_blocked_did_not_happen(story: Story) -> None:
    assert story.machine.run("cat", f"{HOME}/precious/file") == "kept\n"


def test_the_canary_is_in_no_real_number(story: Story) -> None:
    assert story.users == {("dev",)}


def test_a_second_deploy_changes_nothing_and_loses_no_number(story: Story) -> None:
    assert story.second.status == 0, story.second.output
    assert recap(story.second.output)["changed"] == 0
    assert story.numbers_after == story.numbers


def test_check_mode_finds_nothing_to_change_afterwards(story: Story) -> None:
    assert story.checked.status == 0, story.checked.output
    assert recap(story.checked.output)["changed"] == 0


def test_the_second_deploy_takes_less_than_the_first(
    story: Story, record_property: Callable[[str, object], None], request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.params["story"]
    record_property(f"./deploy on a bare {name}, first run", f"{story.first.seconds:.0f} s")
    record_property(f"./deploy on a bare {name}, second run", f"{story.second.seconds:.0f} s")
    assert story.second.seconds < story.first.seconds
