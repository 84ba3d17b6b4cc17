"""Both bare machines go through the same story, side by side, once; the tests then ask what happened."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.fresh.machine import remove
from tests.fresh.story import MACHINES, THEIRS, tell
from tests.fresh.upgrade import previous_tree, upgrade
from tests.support.plays import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.terminal import TerminalReporter

    from tests.fresh.story import Story


def live(key: str, *, name: str) -> Story:
    """Take one machine through its story, and that with systemd then through an upgrade."""
    image, operator = MACHINES[key]
    boots = image.endswith("systemd")
    story = tell(name, image=image, operator=operator, theirs=THEIRS[key], cut=not boots)
    tree = previous_tree()
    if boots and tree:
        story.upgrade = upgrade(story.machine, tree)
    return story


@pytest.fixture(scope="session")
def stories() -> Iterator[dict[str, Story]]:
    """Both stories, by the machine's name."""
    checkout = hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]  # two checkouts may be tested at once
    names = {key: f"ccpo-fresh-{key}-{checkout}" for key in MACHINES}
    try:
        with ThreadPoolExecutor(len(MACHINES)) as pool:
            told = {key: pool.submit(live, key, name=name) for key, name in names.items()}
            yield {key: future.result() for key, future in told.items()}
    finally:
        for name in names.values():
            remove(name)


@pytest.fixture(params=sorted(MACHINES))
def story(request: pytest.FixtureRequest, stories: dict[str, Story]) -> Story:
    """One machine's story."""
    return stories[request.param]


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the figures that the tests recorded."""
    lines = [
        f"{name}: {value}"
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
    ]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)
