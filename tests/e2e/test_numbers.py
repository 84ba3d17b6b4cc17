"""A real session ends as exact numbers in Prometheus, whatever happens to the processes on the way."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.support.claude import Account
from tests.support.story import Call, Turn, bash

if TYPE_CHECKING:
    from tests.e2e.conftest import Fleet
    from tests.support.promql import Vector
    from tests.support.story import Numbers, Script

WHO = ("instance", "user")


@dataclass(frozen=True)
class Round:
    """What was played in one project name, what must come of it, and what the client said itself."""

    fleet: Fleet
    project: str
    numbers: Numbers
    accounts: list[Account]

    def ask(self, metric: str, *labels: str, expected: dict[tuple[str, ...], int], scale: int = 1) -> Vector:
        """Return a metric's sums by host, user and labels, in units of 1/scale, once they are as expected."""
        by = ", ".join((*WHO, *labels))
        query = f'round(sum by ({by}) ({metric}{{project="{self.project}"}}) * {scale})'
        return self.fleet.prometheus.eventually(query, *WHO, *labels, expected=expected)

    def assert_exact(self) -> None:
        """Assert that all of this round's numbers are in Prometheus."""
        numbers = self.numbers
        spent = "claude_code_spend_usd_total"
        requested = "claude_code_request_cost_usd_total"
        responses = "claude_code_response_time_seconds_count"
        tools = "claude_code_tool_usage_total"
        blocks = "claude_code_security_blocks_total"
        events = "claude_code_hook_events_total"
        assert self.ask(events, "event", expected=numbers.events) == numbers.events
        assert self.ask(tools, "tool", "outcome", expected=numbers.calls) == numbers.calls
        assert self.ask(blocks, "reason", "tool", expected=numbers.blocks) == numbers.blocks
        assert self.ask("claude_code_tokens_total", "type", expected=numbers.tokens) == numbers.tokens
        assert self.ask(spent, expected=numbers.micros, scale=1_000_000) == numbers.micros
        assert self.ask(requested, expected=numbers.micros, scale=1_000_000) == numbers.micros
        assert self.ask(responses, expected=numbers.responses) == numbers.responses
        started = "claude_code_sessions_total"
        assert self.ask(started, "start_type", expected=numbers.sessions) == numbers.sessions


def main_script(project: str, subagent: str) -> Script:
    """Return eleven calls of seven tools: one fails, two are blocked, one is a subagent's."""
    notes = f"{project}/notes.py"
    look = Call("Grep", {"pattern": "x", "path": project})
    agent = {"description": "look", "prompt": f"[[{subagent}]] look", "run_in_background": False}
    sub = (Turn((look,)), Turn(text="Nothing."))
    return (
        Turn((bash("echo hello"),)),
        Turn((Call("Write", {"file_path": notes, "content": "x = 1\n"}),)),
        Turn((Call("Read", {"file_path": notes}),)),
        Turn((Call("Edit", {"file_path": notes, "old_string": "x = 1", "new_string": "x = 2"}),)),
        Turn((look, Call("Glob", {"pattern": "**/*.py"}))),
        Turn((bash("ls /no/such/directory", outcome="failure"),)),
        Turn((bash("rm -rf ~", outcome="blocked", reason="rm_rf"),)),
        Turn((Call("Read", {"file_path": f"{project}/.env"}, "blocked", "env_file"),)),
        Turn((Call("Agent", {**agent, "subagent_type": "general-purpose"}),), subagent=sub),
        Turn(text="All done."),
    )


def steady_script(calls: int, *, delay: float) -> Script:
    """Return a session of so many shell commands, whose API answers slowly and with uneven costs."""
    usage = {
        "input_tokens": 700,
        "output_tokens": 150,
        "cache_read_input_tokens": 20_000,
        "cache_creation_input_tokens": 1000,
    }
    one = Turn((bash("true"),), delay=delay)
    return (*(one for _ in range(calls)), Turn(usage=usage, delay=delay))


def play_parallel(fleet: Fleet, numbers: Numbers, host: str, project: str, script: Script) -> list[Account]:
    """Play a script in three sessions of two people at once on one host."""
    started = []
    for number, user in enumerate(("alice", "alice", "bob")):
        key = fleet.script(host, f"{project}-{number}", script)
        started.append(fleet.person(user, host).start(key, project=project))
        numbers.add(host, user, script)
    return [Account.of(running.output()) for running in started]


@pytest.fixture(scope="module")
def first(fleet: Fleet) -> Round:
    """Play the story: a long and a short session on one host, three at once on the other."""
    project, numbers = fleet.project("shop"), fleet.numbers()
    alice = fleet.person("alice", "dev-a")
    path = alice.project(project)
    script = main_script(path, f"look-{fleet.run}")
    fleet.script("dev-a", "look", script[8].subagent)
    accounts = [alice.run(fleet.script("dev-a", "main", script), project=project)]
    numbers.add("dev-a", "alice", script)
    short = (Turn(text="Four."),)
    accounts.append(fleet.person("bob", "dev-a").run(fleet.script("dev-a", "short", short), project=project))
    numbers.add("dev-a", "bob", short)
    accounts += play_parallel(fleet, numbers, "dev-b", project, steady_script(3, delay=0.3))
    return Round(fleet, project, numbers, accounts)


def test_prometheus_gives_nothing_without_its_password(fleet: Fleet) -> None:
    status, _ = fleet.prometheus.service.get("/api/v1/query?query=up", authenticated=False)
    assert status == 401


def test_the_script_costs_what_the_client_itself_says(first: Round) -> None:
    assert sum(account.micros for account in first.accounts) == sum(first.numbers.micros.values())


def test_first_round_is_exact(first: Round) -> None:
    first.assert_exact()


def test_ended_sessions_are_no_longer_active(first: Round) -> None:
    query = f'sum(claude_code_active_sessions{{project="{first.project}"}})'
    assert first.fleet.prometheus.eventually(query, expected={}) == {}


def test_duration_of_every_session_is_known(first: Round) -> None:
    expected: dict[tuple[str, ...], int] = {
        ("dev-a", "alice"): 1,
        ("dev-a", "bob"): 1,
        ("dev-b", "alice"): 2,
        ("dev-b", "bob"): 1,
    }
    assert first.ask("claude_code_session_duration_seconds_count", expected=expected) == expected


def test_exporter_killed_in_the_middle_of_sessions_loses_and_doubles_nothing(fleet: Fleet) -> None:
    project, numbers = fleet.project("killed"), fleet.numbers()
    host = fleet.developers["dev-a"]
    killed = set()
    script = steady_script(4, delay=1.2)
    started = []
    for number, user in enumerate(("alice", "alice", "bob")):
        key = fleet.script("dev-a", f"{project}-{number}", script)
        started.append(fleet.person(user, "dev-a").start(key, project=project))
        numbers.add("dev-a", user, script)
    for _ in range(2):
        time.sleep(1.5)
        pid = host.run(
            "systemctl", "show", "--property", "MainPID", "--value", "claude-code-exporter"
        ).strip()
        assert pid != "0"
        assert pid not in killed
        host.run("kill", "-9", pid)
        killed.add(pid)
    accounts = [Account.of(running.output()) for running in started]
    Round(fleet, project, numbers, accounts).assert_exact()


def test_pushgateway_that_was_away_is_caught_up_with(fleet: Fleet) -> None:
    project, numbers = fleet.project("offline"), fleet.numbers()
    fleet.monitor.run("systemctl", "stop", "prometheus-pushgateway")
    try:
        accounts = play_parallel(fleet, numbers, "dev-b", project, steady_script(2, delay=0.2))
        time.sleep(20)  # longer than the exporter's interval, so that a push has failed
    finally:
        fleet.monitor.run("systemctl", "start", "prometheus-pushgateway")
    Round(fleet, project, numbers, accounts).assert_exact()


def test_first_round_is_still_exact_after_all_that(first: Round) -> None:
    first.assert_exact()
