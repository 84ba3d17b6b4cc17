"""A real session ends as exact numbers in Prometheus, whatever happens to the processes on the way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import WHO, Round
from tests.support.machine import eventually
from tests.support.story import Call, Turn, bash

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.fleet import Fleet
    from tests.support.machine import Machine
    from tests.support.story import Script

THREE = ("alice", "alice", "bob")
UNEVEN = {
    "input_tokens": 700,
    "output_tokens": 150,
    "cache_read_input_tokens": 20_000,
    "cache_creation_input_tokens": 1000,
}


def main_script(project: str, subagent: str) -> Script:
    """Return eleven calls of seven tools: one fails, two are blocked, one is a subagent's."""
    notes = f"{project}/notes.py"
    look = Call("Grep", {"pattern": "x", "path": project})
    agent = {"description": "look", "prompt": f"[[{subagent}]] look", "run_in_background": False}
    return (
        Turn((bash("echo hello"),)),
        Turn((Call("Write", {"file_path": notes, "content": "x = 1\n"}),)),
        Turn((Call("Read", {"file_path": notes}),)),
        Turn((Call("Edit", {"file_path": notes, "old_string": "x = 1", "new_string": "x = 2"}),)),
        Turn((look, Call("Glob", {"pattern": "**/*.py"}))),
        Turn((bash("ls /no/such/directory", outcome="failure"),)),
        Turn((bash("rm -rf ~", outcome="blocked", reason="rm_rf"),)),
        Turn((Call("Read", {"file_path": f"{project}/.env"}, "blocked", "env_file"),)),
        Turn((Call("Agent", {**agent, "subagent_type": "general-purpose"}),), subagent=sub_script(project)),
        Turn(text="All done."),
    )


def sub_script(project: str) -> Script:
    """Return what the subagent of the main script does."""
    return Turn((Call("Grep", {"pattern": "x", "path": project}),), usage=UNEVEN), Turn(text="Nothing.")


def steady_script(calls: int, *, delay: float) -> Script:
    """Return a session of so many shell commands, whose API answers slowly."""
    return (*(Turn((bash("true"),), delay=delay) for _ in range(calls)), Turn(usage=UNEVEN, delay=delay))


def running_pid(host: Machine, *, besides: set[str]) -> str:
    """Return the exporter's process once it runs and is none of these."""
    show = ("systemctl", "show", "--property", "MainPID", "--value", "claude-code-exporter")
    dead = {"0", *besides}
    pid = eventually(lambda: host.run(*show).strip(), accept=lambda seen: seen not in dead, seconds=20)
    assert pid not in dead
    return pid


@pytest.fixture(scope="module")
def first(fleet: Fleet) -> Round:
    """Play the story: a long and a short session on one host, three at once on the other."""
    played = Round.of(fleet, "shop")
    path = fleet.person("alice", fleet.first).project(played.project())
    subagent = played.script(fleet.first, sub_script(path))
    played.play("alice", fleet.first, main_script(path, subagent))
    played.play("bob", fleet.first, (Turn(text="Four."),))
    for user in THREE:
        played.start(user, fleet.second, steady_script(3, delay=0.3))
    played.finish()
    return played


def test_prometheus_gives_nothing_without_its_password(fleet: Fleet) -> None:
    status, _ = fleet.prometheus.service.get("/api/v1/query?query=up", authenticated=False)
    assert status == 401


def test_the_script_costs_what_the_client_itself_says(first: Round) -> None:
    assert sum(account.micros for account in first.accounts) == sum(first.numbers.micros.values())


def test_first_round_is_exact(first: Round) -> None:
    first.assert_exact()


def test_ended_sessions_are_no_longer_active(first: Round) -> None:
    assert first.ask("claude_code_active_sessions", expected={}) == {}


def test_duration_of_every_session_is_known(first: Round) -> None:
    people = {key[:3] for key in first.numbers.sessions}
    expected = {who: first.numbers.sessions[*who, "fresh"] for who in people}
    assert first.ask("claude_code_session_duration_seconds_count", expected=expected) == expected


def test_claude_code_itself_measured_each_of_our_hooks(
    first: Round, record_property: Callable[[str, object], None]
) -> None:
    metric = "claude_code_hook_duration_seconds"
    for event in ("PreToolUse", "PostToolUse"):
        expected = {key[:3]: count for key, count in first.numbers.events.items() if key[-1] == event}
        where = f'{{event="{event}", project="{first.project()}"}}'
        query = f"sum by (instance, user, project) ({metric}_count{where})"
        prometheus = first.fleet.prometheus
        assert prometheus.eventually(query, *WHO, expected=expected) == expected
        mean = prometheus.vector(f"sum({metric}_sum{where}) / sum({metric}_count{where})")[()]
        record_property(f"a {event} hook, as Claude Code measured it, mean", f"{mean * 1000:.0f} ms")


def test_exporter_killed_in_the_middle_of_sessions_loses_and_doubles_nothing(fleet: Fleet) -> None:
    played, host = Round.of(fleet, "killed"), fleet.developers[fleet.first]
    for user in THREE:
        played.start(user, fleet.first, steady_script(2, delay=5))
    killed: set[str] = set()
    for answers in (3, 6):
        # Each session was answered and has sent its events, and waits for the next answer. The client never
        # repeats an export that is cut off under way, so a kill in that moment is not what can be exact.
        assert played.wait_for_answers(host, answers) == answers
        time.sleep(2)
        pid = running_pid(host, besides=killed)
        host.run("sh", "-c", f"kill -9 {pid}")
        killed.add(pid)
    played.finish()
    played.assert_exact()


def test_pushgateway_that_was_away_is_caught_up_with(fleet: Fleet) -> None:
    played = Round.of(fleet, "offline")
    fleet.services.stop("pushgateway")
    try:
        for user in THREE:
            played.start(user, fleet.second, steady_script(2, delay=0.2))
        played.finish()
        time.sleep(20)  # longer than the exporter's interval, so that a push has failed
    finally:
        fleet.services.start("pushgateway")
    played.assert_exact()


def test_first_round_is_still_exact_after_all_that(first: Round) -> None:
    first.assert_exact()
