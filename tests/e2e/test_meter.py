"""The meter stays exact under parallel sessions, failures of the API, and clients that die."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.support.fleet import Round
from tests.support.story import Turn, bash

if TYPE_CHECKING:
    from tests.support.fleet import Fleet
    from tests.support.story import Key

ONE_CALL = (Turn((bash("true"),)), Turn())
SECRET = "canary-b81f40"


def test_twenty_parallel_sessions_of_two_people_in_three_projects(fleet: Fleet) -> None:
    played = Round.of(fleet, "crowd")
    for number in range(20):
        user, project = ("alice", "bob")[number % 2], ("red", "green", "blue")[number % 3]
        played.start(user, "dev-a", ONE_CALL, project=project)
    played.finish()
    played.assert_exact()


def test_resumed_session_is_counted_once_more_and_no_more(fleet: Fleet) -> None:
    played = Round.of(fleet, "resumed")
    played.resume("bob", "dev-b", ONE_CALL, (Turn((bash("echo again"),)), Turn()))
    played.assert_exact()


def test_api_that_fails_and_recovers_costs_nothing_more(fleet: Fleet) -> None:
    played = Round.of(fleet, "flaky")
    played.play("alice", "dev-b", (Turn((bash("true"),), fail=(529,)), Turn(fail=(500,))))
    played.assert_exact()


def test_request_that_fails_for_good_is_an_error_and_no_cost(fleet: Fleet) -> None:
    played, dev = Round.of(fleet, "failed"), fleet.person("alice", "dev-b")
    answered = Turn((bash("true"),))
    key = played.script("dev-b", (answered, Turn(fail=(400,) * 20)))
    dev.start(key, project=played.project()).failed()
    who: Key = ("dev-b", "alice", played.project())
    played.numbers.add(who, (answered,), end=("StopFailure", "SessionEnd"))
    played.assert_exact()
    errors: dict[Key, int] = {(*who, "400"): 1}
    assert played.ask("claude_code_api_errors_total", "status_code", expected=errors) == errors


def test_killed_client_counts_up_to_its_death_and_its_session_stays_open(fleet: Fleet) -> None:
    played, dev = Round.of(fleet, "died"), fleet.person("bob", "dev-b")
    answered = Turn((bash("true"),))
    session = dev.start(played.script("dev-b", (answered, Turn(delay=60))), project=played.project())
    time.sleep(9)  # one interval of its export of metrics, and the second before the first answer
    dev.kill_clients()
    session.failed()
    who: Key = ("dev-b", "bob", played.project())
    played.numbers.add(who, (answered,), end=())
    played.assert_exact()
    assert played.ask("claude_code_active_sessions", expected={who: 1}) == {who: 1}


def test_what_people_write_is_in_no_store_once_it_is_consumed(fleet: Fleet) -> None:
    played, dev = Round.of(fleet, "private"), fleet.person("alice", "dev-a")
    script = (Turn((bash(f"echo {SECRET} > {SECRET}.txt; cat {SECRET}.txt"),)), Turn(text=SECRET))
    session = dev.start(played.script("dev-a", script), project=played.project(), prompt=SECRET)
    session.account()
    played.numbers.add(("dev-a", "alice", played.project()), script)
    played.assert_exact()
    search = 'grep -rl -e "$0" "$1" || true; journalctl --output cat | grep -c -e "$0" || true'
    store = "/var/lib/claude-code-observability"
    assert dev.machine.run("sh", "-c", search, SECRET, store) == "0\n"
    control = dev.machine.run("sh", "-c", search, SECRET, "/home/alice/.claude/projects")
    assert played.project() in control
    exposed = fleet.prometheus.query(f'{{__name__=~"claude_code_.+", project="{played.project()}"}}')
    assert exposed
    assert SECRET not in str(exposed)
