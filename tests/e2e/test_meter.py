"""The meter stays exact under parallel sessions, failures of the API, and clients that die."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.claude import StandIn
from tests.support.fleet import Round
from tests.support.machine import eventually
from tests.support.messages_api import USAGE
from tests.support.story import Turn, bash

if TYPE_CHECKING:
    from tests.support.fleet import Fleet
    from tests.support.story import Key

ONE_CALL = (Turn((bash("true"),)), Turn())
CROWD = 20
AT_ONCE = 4
"""How many of a crowd start, or end, at the same time.

The client gives its last exports two seconds, whatever it is told: twenty that end in the same moment on two
busy cores do not all come to send them.
"""
SECRET = "canary-b81f40"
STORE = "/var/lib/claude-code-observability"


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_twenty_parallel_sessions_of_two_people_in_three_projects(fleet: Fleet) -> None:
    played = Round.of(fleet, "crowd")
    host, script = StandIn(fleet.developers[fleet.first]), (Turn((bash("true"),), gate=True), Turn())
    for number in range(CROWD):
        user, project = ("alice", "bob")[number % 2], ("red", "green", "blue")[number % 3]
        played.start(user, fleet.first, script, project=project)
        if played.scripts % AT_ONCE == 0:
            assert eventually(lambda: played.keys() <= host.waiting(), accept=bool, seconds=120)
    assert [each.running.process.poll() for each in played.sessions] == [None] * CROWD
    keys = sorted(played.keys())
    for first in range(0, CROWD, AT_ONCE):
        host.go_on(*keys[first : first + AT_ONCE])
        ended = first + AT_ONCE
        assert eventually(lambda: played.ended() >= ended, accept=bool, seconds=120)  # noqa: B023 # asked at once
    played.finish()
    played.assert_exact()


def test_resumed_session_is_counted_once_more_and_no_more(fleet: Fleet) -> None:
    played = Round.of(fleet, "resumed")
    played.resume("bob", fleet.second, ONE_CALL, (Turn((bash("echo again"),)), Turn()))
    played.assert_exact()


@pytest.mark.thorough
def test_api_that_fails_and_recovers_costs_nothing_more(fleet: Fleet) -> None:
    played = Round.of(fleet, "flaky")
    played.play("alice", fleet.second, (Turn((bash("true"),), fail=(529,)), Turn(fail=(500,))))
    played.assert_exact()


@pytest.mark.thorough
def test_request_that_fails_for_good_is_an_error_and_no_cost(fleet: Fleet) -> None:
    played, dev = Round.of(fleet, "failed"), fleet.person("alice", fleet.second)
    answered = Turn((bash("true"),))
    key = played.script(fleet.second, (answered, Turn(fail=(400,) * 20)))
    dev.start(key, project=played.project()).failed()
    who: Key = (fleet.second, "alice", played.project())
    played.numbers.add(who, (answered,), end=("StopFailure", "SessionEnd"))
    played.assert_exact()
    errors: dict[Key, int] = {(*who, "400"): 1}
    assert played.ask("claude_code_api_errors_total", "status_code", expected=errors) == errors


@pytest.mark.thorough
def test_killed_client_counts_up_to_its_death_and_its_session_stays_open(fleet: Fleet) -> None:
    played, dev = Round.of(fleet, "died"), fleet.person("bob", fleet.second)
    answered = Turn((bash("true"),))
    session = dev.start(played.script(fleet.second, (answered, Turn(delay=200))), project=played.project())
    who: Key = (fleet.second, "bob", played.project())
    played.numbers.add(who, (answered,), end=())
    played.assert_exact()  # all that there is before its death, and it is alive
    dev.kill_clients()
    session.failed()
    played.assert_exact()
    assert played.ask("claude_code_active_sessions", expected={who: 1}) == {who: 1}
    live = played.ask("claude_code_cost_usd", expected=played.numbers.micros, scale=1_000_000)
    assert live == played.numbers.micros


def summary(key: str) -> Turn:
    """Return the answer to the client's wish for a summary, after which the conversation is that of `key`."""
    return Turn(text=f"<analysis>All seen.</analysis><summary>1. The wish: [[{key}]] go.</summary>")


@pytest.mark.thorough
def test_compaction_that_was_asked_for_counts_and_costs_what_it_cost(fleet: Fleet) -> None:
    played, dev = Round.of(fleet, "compacted"), fleet.person("alice", fleet.first)
    who: Key = (fleet.first, "alice", played.project())
    key = played.script(fleet.first, ())
    call, said = Turn((bash("true"),)), summary(key)
    # The client asks for the summary, and then goes on, from where the model has spoken once.
    StandIn(dev.machine).script(key, (call, said))
    session = dev.start(key, project=played.project()).account().session_id
    played.numbers.add(who, (call, said))
    dev.start(key, project=played.project(), resume=session, prompt="/compact").account()
    heard = ("PreCompact", "SubagentStop", "SessionStart", "PostCompact", "SessionEnd")
    played.numbers.add(who, (said,), start="resume", begin=("SessionStart",), end=heard)
    dev.start(key, project=played.project(), resume=session, prompt="more").account()
    played.numbers.add(who, (said,), start="resume")
    assert len(StandIn(dev.machine).served(key)) == 4
    assert_compacted(played, who, trigger="manual", sessions=3)
    by_source: dict[Key, int] = {
        (*who, "main"): played.numbers.cost(call) + 2 * played.numbers.cost(said),
        (*who, "auxiliary"): played.numbers.cost(said),
    }
    spent = "claude_code_spend_usd_total"
    assert played.ask(spent, "query_source", expected=by_source, scale=1_000_000) == by_source


@pytest.mark.thorough
def test_compaction_of_a_full_context_counts_and_is_no_session_of_its_own(fleet: Fleet) -> None:
    played, dev = Round.of(fleet, "overfull"), fleet.person("bob", fleet.first)
    who: Key = (fleet.first, "bob", played.project())
    after = played.script(fleet.first, (Turn(),))
    full = Turn((bash("true"),), usage={**USAGE, "input_tokens": 985_000})
    script = (full, summary(after))
    dev.start(played.script(fleet.first, script), project=played.project()).account()
    heard = ("PreCompact", "SubagentStop", "SessionStart", "PostCompact", "Stop", "SessionEnd")
    played.numbers.add(who, (*script, Turn()), end=heard)
    assert_compacted(played, who, trigger="auto", sessions=1)


def assert_compacted(played: Round, who: Key, *, trigger: str, sessions: int) -> None:
    """Assert that everything is exact, that there was one compaction, and that it opened no session."""
    played.assert_exact()
    compactions: dict[Key, int] = {(*who, trigger): 1}
    found = played.ask("claude_code_compactions_total", "trigger", expected=compactions)
    assert found == compactions
    durations = {who: sessions}
    assert played.ask("claude_code_session_duration_seconds_count", expected=durations) == durations


@pytest.mark.thorough
def test_nobody_reads_writes_or_redirects_the_journal_of_somebody_else(fleet: Fleet) -> None:
    played, host = Round.of(fleet, "apart"), fleet.developers[fleet.first]
    played.play("alice", fleet.first, ONE_CALL)
    alice, bob = (host.run("id", "-u", user).strip() for user in ("alice", "bob"))
    hers, link = f"{STORE}/journal/{alice}.jsonl", f"{STORE}/journal/{bob}.apart.jsonl"
    assert host.run("stat", "--format", "%U %a", hers) == "alice 640\n"
    attempt = '"$@" >/dev/null 2>&1 && echo done || echo refused'
    for command in (("cat", hers), ("cp", "/dev/null", hers), ("mv", hers, link), ("ln", hers, link)):
        assert host.run("sh", "-c", attempt, "sh", *command, user="bob") == "refused\n"
    refused = f'sum(claude_code_exporter_rejected_total{{instance="{fleet.first}", reason="journal_kind"}})'
    before = fleet.prometheus.vector(refused).get((), 0)
    host.run("ln", "-s", hers, link, user="bob")
    try:
        expected: dict[Key, float] = {(): before + 1}
        assert fleet.prometheus.eventually(refused, expected=expected) == expected
    finally:
        host.run("rm", link)
    played.play("alice", fleet.first, ONE_CALL)
    played.assert_exact()


@pytest.mark.thorough
def test_what_people_write_is_in_no_store_once_it_is_consumed(fleet: Fleet) -> None:
    played, dev = Round.of(fleet, "private"), fleet.person("alice", fleet.first)
    script = (Turn((bash(f"echo {SECRET} > {SECRET}.txt; cat {SECRET}.txt"),)), Turn(text=SECRET))
    session = dev.start(played.script(fleet.first, script), project=played.project(), prompt=SECRET)
    session.account()
    played.numbers.add((fleet.first, "alice", played.project()), script)
    played.assert_exact()
    search = 'grep -rl -e "$0" "$1" || true; journalctl --output cat | grep -c -e "$0" || true'
    assert dev.machine.run("sh", "-c", search, SECRET, STORE) == "0\n"
    control = dev.machine.run("sh", "-c", search, SECRET, "/home/alice/.claude/projects")
    assert played.project() in control
    exposed = fleet.prometheus.query(f'{{__name__=~"claude_code_.+", project="{played.project()}"}}')
    assert exposed
    assert SECRET not in str(exposed)
