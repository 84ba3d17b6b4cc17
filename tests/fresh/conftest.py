"""Both bare machines go through the same story, side by side, once; the tests then ask what happened."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.fresh.machine import ROOT, remove
from tests.fresh.story import MACHINES, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.terminal import TerminalReporter

    from tests.fresh.story import Story


@pytest.fixture(scope="session")
def stories() -> Iterator[dict[str, Story]]:
    """Both stories, by the machine's name."""
    checkout = hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]  # two checkouts may be tested at once
    names = {key: f"ccpo-fresh-{key}-{checkout}" for key in MACHINES}
    try:
        with ThreadPoolExecutor(len(MACHINES)) as pool:
            told = {
                key: pool.submit(tell, names[key], image=image, operator=operator)
                for key, (image, operator) in MACHINES.items()
            }
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
