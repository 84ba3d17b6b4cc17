"""A network that is cut while people work costs no number, and with an agent on the host no minute either."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import Round
from tests.support.machine import eventually
from tests.support.network import cut
from tests.support.site import Site
from tests.support.story import Turn, bash

if TYPE_CHECKING:
    from tests.support.fleet import Fleet
    from tests.support.promql import Vector
    from tests.support.site import Recap
    from tests.support.story import Script

# The site is played on hosts in the middle of it.
pytestmark = pytest.mark.timeout(1200)

NETWORK = "ccpo-fleet"
MONITOR = "fleet-monitor"
PUSH, SCRAPE, WRITE = "fleet-dev-push", "fleet-dev-scrape", "fleet-dev-write"
# Six times the interval at which each transport speaks.
SECONDS = 90
INTERVAL = 15
# From before the cut until about its end.
LONG: Script = (*(Turn((bash("true"),), delay=11) for _ in range(9)), Turn(text="Done."))
SHORT: Script = (Turn((bash("echo cut off"),)), Turn(text="Done."))
TARGETS = "/etc/prometheus/targets/claude_code.yml"


@dataclass(frozen=True)
class Cut:
    """What was seen of a cut: its times since the epoch, and what Prometheus said just before its end."""

    played: Round
    began: float
    worked: float
    ended: float
    down: Vector
    push_age: Vector
    written_age: Vector
    site: tuple[int, dict[str, Recap], str]
    targets: str


@pytest.fixture(scope="module")
def story(fleet: Fleet) -> Cut:
    """Cut all developers' hosts off while people work; keep one cut off while the site is played."""
    played, ask = Round.of(fleet, "cut"), fleet.prometheus.vector
    push = fleet.developers[PUSH]
    for host in fleet.developers:
        played.start("alice", host, LONG, project="long")
    for host, machine in fleet.developers.items():
        assert played.wait_for_answers(machine, 1) >= 1, host
    with cut(NETWORK, [fleet.developers[SCRAPE]]):
        with cut(NETWORK, [push, fleet.developers[WRITE]]):
            began = time.time()
            for host in fleet.developers:
                played.start("bob", host, SHORT, project="short")
            for session in played.sessions[-3:]:
                session.running.process.wait(120)
            worked = time.time()
            time.sleep(max(0, began + SECONDS - time.time()))
            down = ask('1 - up{job="claude_code"}', "instance")
            push_age = ask(f'time() - push_time_seconds{{instance="{PUSH}"}}', "instance")
            written_age = ask(f'time() - timestamp(up{{job="claude_code", instance="{WRITE}"}})', "instance")
        ended = time.time()
        played.finish()
        # What only a play brings back.
        fleet.monitor.run("rm", TARGETS)
        push.run("systemctl", "stop", "claude-code-exporter")
        site = Site.start().end(seconds=900)
        targets = fleet.monitor.run("cat", TARGETS)
    return Cut(played, began, worked, ended, down, push_age, written_age, site, targets)


def test_a_host_that_is_cut_off_does_not_pass_for_alive(story: Cut) -> None:
    assert story.down == {(SCRAPE,): 1}
    assert story.push_age[(PUSH,)] > SECONDS - 2 * INTERVAL
    assert story.written_age[(WRITE,)] > SECONDS - 2 * INTERVAL


def test_a_host_that_cannot_be_reached_stops_nobody(story: Cut) -> None:
    status, recap, output = story.site
    assert recap[SCRAPE].unreachable == 1, output[-3000:]
    others = {name: (host.unreachable, host.failed) for name, host in recap.items() if name != SCRAPE}
    assert others == dict.fromkeys((MONITOR, PUSH, WRITE), (0, 0)), output[-3000:]
    assert status != 0
    assert f"2 of 3 canaries seen in Prometheus; none was sent by {SCRAPE}" in " ".join(output.split())
    push = story.played.fleet.developers[PUSH]
    assert push.run("systemctl", "is-active", "claude-code-exporter") == "active\n"


def test_a_host_that_cannot_be_reached_stays_a_target(story: Cut) -> None:
    assert f"instance: {SCRAPE}" in story.targets


def test_every_transport_is_exact_again(story: Cut) -> None:
    prometheus = story.played.fleet.prometheus
    age = f'time() - push_time_seconds{{instance="{PUSH}"}}'
    # Attempts come ever later while the network is away.
    fresh = eventually(
        lambda: prometheus.vector(age, "instance"),
        accept=lambda seen: seen.get((PUSH,), SECONDS) < 2 * INTERVAL,
        seconds=300,
    )
    assert fresh[(PUSH,)] < 2 * INTERVAL
    story.played.assert_exact()


def test_the_agent_leaves_no_gap_in_the_hour(story: Cut) -> None:
    span = round(time.time() - story.began + 2 * INTERVAL)

    def widest(host: str) -> float:
        series = f'claude_code_exporter_build_info{{instance="{host}"}}'
        (found,) = story.played.fleet.prometheus.query(f"{series}[{span}s]")
        times = [float(stamp) for stamp, _ in found["values"]]
        assert times[0] < story.began
        assert times[-1] > story.ended
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    assert widest(WRITE) <= 2 * INTERVAL
    assert widest(SCRAPE) > SECONDS - INTERVAL


def test_the_agent_tells_of_what_was_done_at_the_time_it_was_done(story: Cut) -> None:
    project, moment = story.played.project("short"), story.worked + 2 * INTERVAL
    assert moment < story.ended
    series = f'claude_code_hook_events_total{{project="{project}", instance="{WRITE}"}}'
    events, who = story.played.numbers.events, (WRITE, "bob", project)
    expected = {key[3:]: count for key, count in events.items() if key[:3] == who}
    said = story.played.fleet.prometheus.vector(f"sum by (event) ({series} @ {moment:.0f})", "event")
    assert said == expected
