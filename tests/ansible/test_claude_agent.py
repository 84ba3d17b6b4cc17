"""The role claude_agent on Debian 13: refused, deployed, and taken away when the transport is another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.plays import container, docker_host, play

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.machine import Machine
    from tests.support.plays import Played

AGENT: dict[str, Any] = {"trust_enabled": False, "claude_exporter_transport": "remote_write"}
ELSEWHERE = "https://metrics.example.com/api/v1/write"
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "address": (
        {"claude_agent_listen_address": "0.0.0.0:9095"},
        "claude_agent_listen_address is 0.0.0.0:9095: write an address on loopback",
    ),
    "plain": (
        {"claude_agent_url": "http://metrics.example.com/api/v1/write"},
        "off this host numbers travel by https:// only",
    ),
    "user": (
        {"claude_agent_url": ELSEWHERE, "claude_agent_username": "me"},
        "claude_agent_username and claude_agent_password_file belong together",
    ),
    "secret": (
        {"claude_agent_url": "https://me:canary@metrics.example.com/"},
        "claude_agent_url must begin with https:// or http:// and hold no password",
    ),
    "time": ({"claude_agent_wal_max_time": "long"}, "claude_agent_wal_max_time is long: write a duration"),
    "misspelt": (
        {"claude_agent_ulr": ELSEWHERE},
        "claude_agent_ulr is not a variable of role claude_agent: did you mean claude_agent_url?",
    ),
}


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with container("ccpo-debian13-systemd", systemd=True) as started:
        yield started


@pytest.fixture(scope="module")
def ends(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    """Play the preflight once, every case a host of its own in the same container."""
    hosts = {name: docker_host(machine, **{**AGENT, **variables}) for name, (variables, _) in CASES.items()}
    directory = tmp_path_factory.mktemp("refusals")
    return play(directory, hosts, "--tags", "preflight", roles=["claude_agent"])


@pytest.mark.parametrize("name", CASES)
def test_what_makes_no_sense_is_refused_in_a_sentence(ends: dict[str, Played], name: str) -> None:
    assert ends[name].changed == 0
    assert CASES[name][1] in ends[name].failure
    assert "canary" not in ends[name].failure


def test_an_agent_comes_and_goes_with_its_transport(machine: Machine, tmp_path: Path) -> None:
    def run(transport: str) -> Played:
        variables = {**AGENT, "claude_exporter_transport": transport}
        return play(tmp_path, {"dev": docker_host(machine, **variables)}, roles=["claude_agent"])["dev"]

    first = run("remote_write")
    assert first.failure == ""
    assert machine.run("systemctl", "is-active", "claude-code-agent") == "active\n"
    assert run("remote_write").changes == []
    assert run("scrape").failure == ""
    assert machine.run("systemctl", "is-active", "claude-code-agent", check=False) != "active\n"
    assert machine.run("sh", "-c", "ls /etc/systemd/system | grep claude-code-agent || true") == ""
    assert run("scrape").changes == []
