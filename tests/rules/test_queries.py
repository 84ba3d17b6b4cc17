"""Every query of every panel and variable runs on a real Prometheus and returns data, in every dialect."""

from __future__ import annotations

import json
import math
import re
import time
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from dashboards import illustrate
from tests.rules import replay

if TYPE_CHECKING:
    from tests.rules.conftest import Answers

BOARDS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).resolve().parents[2] / "files" / "dashboards").glob("*.json"))
}
OFFICIAL = {
    "spend_usd",
    "tokens",
    "sessions",
    "lines_of_code",
    "commits",
    "pull_requests",
    "edit_decisions",
    "active_time_seconds",
}
"""Counters that Claude Code's own metrics bring, whatever the dialect."""


class Query(NamedTuple):
    """One query of one panel."""

    name: str
    expr: str
    instant: bool


def _queries() -> list[Query]:
    found = []
    for name, board in BOARDS.items():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                title = f"{name}: {panel['title']} {target['refId']}"
                found.append(Query(title, target["expr"], target["instant"]))
        found += [
            Query(f"{name}: annotation {mark['name']}", mark["expr"], instant=False)
            for mark in board["annotations"]["list"]
        ]
    return found


QUERIES = _queries()
FROM_OFFICIAL = [
    query
    for query in QUERIES
    if (used := re.findall(r'claude_code:increase1\w+\{metric="(\w+)"', query.expr))
    and set(used) <= OFFICIAL
    and not re.search(r"claude_code_|claude_code:(?!increase)", query.expr)
]


def _filled(expr: str, **variables: str) -> str:
    """Return `expr` as Grafana would ask it over the last ten minutes; ten-minute steps become seconds.

    The replay is seconds old, and a step of ten minutes would mostly miss it.
    """
    chosen = dict.fromkeys(("team", "user", "host", "project", "model"), ".*") | variables
    expr = expr.replace("$__range:10m", "10m:1s").replace("$__range", "10m").replace("$__rate_interval", "1m")
    for name, value in chosen.items():
        expr = expr.replace(f"${name}", value)
    assert "$" not in expr
    return expr


def _values(prometheus: Answers, query: Query, **variables: str) -> list[float]:
    expr = _filled(query.expr, **variables)
    if query.instant:
        return list(prometheus.now(expr).values())
    now = time.time()
    series: list[dict[str, Any]] = prometheus.get("query_range", query=expr, start=now - 30, end=now, step=1)[
        "result"
    ]
    return [float(value) for one in series for _, value in one["values"]]


@pytest.mark.parametrize("query", QUERIES, ids=[query.name for query in QUERIES])
def test_a_query_returns_data(prometheus: Answers, query: Query) -> None:
    values = _values(prometheus, query)
    assert [value for value in values if not math.isnan(value)], query.expr


@pytest.mark.parametrize("host", [replay.EXPORTER, *replay.DIALECTS])
@pytest.mark.parametrize("query", FROM_OFFICIAL, ids=[query.name for query in FROM_OFFICIAL])
def test_a_query_on_official_metrics_returns_data_in_every_dialect(
    prometheus: Answers, query: Query, host: str
) -> None:
    values = _values(prometheus, query, host=host)
    assert [value for value in values if not math.isnan(value)], query.expr


def test_official_metrics_are_asked_for_in_many_panels() -> None:
    assert len(FROM_OFFICIAL) >= 20


@pytest.mark.parametrize("name", ["team", "user", "host", "project", "model"])
def test_a_variable_offers_values(prometheus: Answers, name: str) -> None:
    queries = {
        variable["query"]["query"]
        for board in BOARDS.values()
        for variable in board["templating"]["list"]
        if variable["name"] == name
    }
    assert len(queries) == 1
    match = re.fullmatch(r"label_values\((.+), (\w+)\)", queries.pop())
    assert match
    offered = prometheus.get(f"label/{match[2]}/values", **{"match[]": _filled(match[1])})
    assert [value for value in offered if value]


@pytest.mark.parametrize("host", [replay.EXPORTER, *replay.DIALECTS])
def test_the_increments_of_a_host_are_what_its_sessions_cost(prometheus: Answers, host: str) -> None:
    sessions = 2 if host == replay.EXPORTER else 1
    counted = f'sum(sum_over_time(claude_code:increment{{metric="spend_usd",instance="{host}"}}[10m]))'
    assert round(next(iter(prometheus.now(counted).values())), 9) == round(sessions * replay.COST, 9)


def test_a_host_without_an_exporter_has_user_and_host_all_the_same(prometheus: Answers) -> None:
    found = prometheus.now(
        'count by (instance, user) (claude_code:dimension{instance!="dev-exporter",instance=~"dev.*"})'
    )
    users = {(dict(labels)["instance"], dict(labels)["user"]) for labels in found}
    assert users == {(host, f"user-of-{host}") for host in replay.DIALECTS}


def test_no_rule_fails(prometheus: Answers) -> None:
    groups = prometheus.get("rules")["groups"]
    assert {
        rule["name"]: rule["lastError"]
        for group in groups
        for rule in group["rules"]
        if rule.get("lastError")
    } == {}


def test_the_budget_that_the_sessions_exceed_raises_its_alert(prometheus: Answers) -> None:
    found = prometheus.now('ALERTS{alertstate="firing",alertname="ClaudeCodeDailyBudgetExceeded"}')
    assert [dict(labels)["team"] for labels in found] == [replay.TEAM]


def test_a_dashboard_can_be_drawn_for_documentation(prometheus: Answers) -> None:
    drawing = illustrate.draw(BOARDS["fleet"], illustrate.Answers(prometheus.url))
    texts = {unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", drawing)}
    assert {panel["title"] for panel in BOARDS["fleet"]["panels"]} <= texts
    assert replay.EXPORTER in texts
