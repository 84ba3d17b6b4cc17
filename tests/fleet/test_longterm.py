"""The long-term store answers as Prometheus does, also about a time when it was away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fleet import Round, service
from tests.support.machine import eventually
from tests.support.promql import Prometheus
from tests.support.story import Turn, bash

if TYPE_CHECKING:
    from tests.support.fleet import Fleet
    from tests.support.story import Script

SCRIPT: Script = (
    Turn((bash("echo kept"),)),
    Turn((bash("rm -rf ~", outcome="blocked", reason="rm_rf"),)),
    Turn(text="Done."),
)
# What dashboards and reports ask of one project, and of the fleet by the recorded series.
QUERIES = (
    "sum by (instance, user, event) (claude_code_hook_events_total{PROJECT})",
    "sum by (instance, user, tool, outcome) (claude_code_tool_usage_total{PROJECT})",
    "sum by (instance, user, reason) (claude_code_security_blocks_total{PROJECT})",
    "sum by (instance, user, model, type) (claude_code_tokens_total{PROJECT})",
    "sum by (team, cost_center) (claude_code_spend_usd_total{PROJECT})",
    "topk(1, sum by (user) (claude_code_spend_usd_total{PROJECT}))",
    "histogram_quantile(0.9, sum by (le) (claude_code_response_time_seconds_bucket{PROJECT}))",
    "sum by (instance) (claude_code_guard_effective)",
    "count by (job) (up)",
    "sum by (team, period) (claude_code_team_budget_usd)",
    "sum by (team, period) (claude_code:team_budget:spent_ratio)",
    "max by (team, cost_center) (max_over_time(claude_code:team_spend_usd:day_to_date[5m]))",
)
Answer = dict[tuple[tuple[str, str], ...], float]


def answer(store: Prometheus, promql: str, *, at: float) -> Answer:
    """Return the values of a query by their labels; the last digits of a float are nobody's truth."""
    found: list[dict[str, Any]] = store.query(promql, at=at)
    return {tuple(sorted(sample["metric"].items())): round(float(sample["value"][1]), 9) for sample in found}


@pytest.fixture(scope="module")
def long_term(fleet: Fleet) -> Prometheus:
    """Return the long-term store."""
    return Prometheus(service(fleet.monitor, 8428, "victoriametrics"))


def is_there(store: Prometheus) -> bool:
    """Return whether the store answers."""
    try:
        return store.service.get("/health")[0] == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def away(fleet: Fleet, long_term: Prometheus) -> tuple[Round, float]:
    """Play sessions while the store is away; return them, and a time at which it still was."""
    played = Round.of(fleet, "kept")
    fleet.monitor.run("systemctl", "stop", "victoria-metrics")
    try:
        for host in fleet.developers:
            played.start("alice", host, SCRIPT)
        played.finish()
        played.assert_exact()
        # One recording later the rules have seen it, too.
        recorded = f'sum(claude_code:counter{{project="{played.project()}", metric="hook_events"}})'
        total = sum(played.numbers.events.values())
        assert fleet.prometheus.eventually(recorded, expected={(): total}) == {(): total}
        moment = time.time() - 1
    finally:
        fleet.monitor.run("systemctl", "start", "victoria-metrics")
        assert eventually(lambda: is_there(long_term), accept=bool, seconds=60)
    return played, moment


def test_the_store_gives_nothing_without_its_password(long_term: Prometheus) -> None:
    status, _ = long_term.service.get("/api/v1/query?query=up", authenticated=False)
    assert status == 401


@pytest.mark.parametrize("query", QUERIES)
def test_the_same_question_has_the_same_answer(
    fleet: Fleet, long_term: Prometheus, away: tuple[Round, float], query: str
) -> None:
    played, moment = away
    promql = query.replace("{PROJECT}", f'{{project="{played.project()}"}}')
    expected = answer(fleet.prometheus, promql, at=moment)
    assert expected
    kept = eventually(
        lambda: answer(long_term, promql, at=moment), accept=lambda seen: seen == expected, seconds=120
    )
    assert kept == expected


def test_the_time_it_was_away_has_every_sample(
    fleet: Fleet, long_term: Prometheus, away: tuple[Round, float]
) -> None:
    _, moment = away
    query = 'max by (job) (count_over_time(up{job="prometheus"}[1m]))'
    expected = answer(fleet.prometheus, query, at=moment)
    assert list(expected.values()) == [4.0]
    assert answer(long_term, query, at=moment) == expected
