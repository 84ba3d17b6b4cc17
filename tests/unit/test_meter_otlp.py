"""Telemetry of Claude Code adds up to the same totals in both temporalities, and lies add nothing."""

from __future__ import annotations

import contextlib
import copy
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from utils.meter import otlp
from utils.meter.ledger import Malformed

from tests.unit.meter_world import (
    NOW,
    World,
    attributes,
    captured,
    event,
    fresh_world,
    line,
    logs,
    metrics,
    point,
)

if TYPE_CHECKING:
    from pathlib import Path

COST = "claude_code.cost.usage"
TOKENS = "claude_code.token.usage"
SPEND = "claude_code_spend_usd_total"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.write(line("SessionStart", x="startup"))
    return world


def in_parts(payload: Any, shares: list[int], *, cumulative: bool) -> list[Any]:
    """Return `payload` as several exports: each point's value in parts of `shares`, or their running sum."""
    bodies = []
    total = sum(shares)
    for index in range(len(shares)):
        body = copy.deepcopy(payload)
        for metric in body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]:
            metric["sum"]["aggregationTemporality"] = 2 if cumulative else 1
            for number, item in enumerate(metric["sum"]["dataPoints"]):
                nano = round(item["asDouble"] * 10**9)
                unit = 10**9 if nano % 10**9 == 0 else 1
                edges = [nano // unit * sum(shares[:edge]) // total * unit for edge in range(len(shares) + 1)]
                steps = [after - before for before, after in pairwise(edges)]
                item["asDouble"] = (edges[index + 1] if cumulative else steps[index]) / 10**9
                item["timeUnixNano"] = str(1_795_333_939_119_000_000 + index * 1000 + number)
        bodies.append(body)
    return bodies


@settings(max_examples=20)
@given(
    shares=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    seed=st.randoms(use_true_random=False),
)
def test_delta_and_cumulative_exports_give_the_same_totals(shares: list[int], seed: Any) -> None:
    with fresh_world() as once:
        once.write(line("SessionStart"))
        once.export(captured("metrics"))
        wanted = once.series()
    for cumulative in (False, True):
        with fresh_world() as world:
            world.write(line("SessionStart"))
            bodies = in_parts(captured("metrics"), shares, cumulative=cumulative)
            bodies += bodies[:2]
            seed.shuffle(bodies)
            for body in bodies:
                world.export(body)
            assert world.series() == wanted


def test_a_resumed_process_with_the_same_session_adds_its_own_total(world: World) -> None:
    for start, value in ((1, 0.5), (2, 0.25), (1, 0.75), (2, 0.25)):
        world.export(metrics(COST, [point(value, start=start, model="m")], temporality=2))
    assert world.total(SPEND) == 1.0


def test_a_late_export_of_an_older_total_adds_nothing(world: World) -> None:
    for value in (0.5, 0.2, 0.5):
        world.export(metrics(COST, [point(value, model="m")], temporality=2))
    assert world.total(SPEND) == 0.5


def test_the_same_body_counts_once_even_after_a_restart(world: World) -> None:
    body = metrics(COST, [point(0.5, model="m")])
    assert world.export(body).accepted == 1
    assert world.export(body) == (0, {}, True)
    world.reopen()
    assert world.export(body).duplicate
    assert world.total(SPEND) == 0.5


def test_a_body_remembered_for_six_hours_is_then_forgotten(world: World) -> None:
    body = metrics(COST, [point(0.5, model="m")])
    world.export(body)
    world.ledger.tick(now=NOW + 6 * 3600, boot_id="b")
    assert world.export(body, now=NOW + 6 * 3600).duplicate
    world.ledger.tick(now=NOW + 6 * 3600 + 61, boot_id="b")
    assert not world.export(body, now=NOW + 6 * 3600 + 61).duplicate


def test_totals_without_a_session_are_refused_because_processes_would_mix(world: World) -> None:
    lone = point(3, type="added")
    lone["attributes"] = attributes({"type": "added"})
    outcome = world.export(metrics("claude_code.lines_of_code.count", [lone], temporality=2))
    assert outcome == (0, {"no_session": 1}, False)


def test_increments_without_a_session_count_for_nobody_known(world: World) -> None:
    lone = point(3)
    lone["attributes"] = attributes({"type": "added"})
    assert world.export(metrics("claude_code.lines_of_code.count", [lone])).accepted == 1
    assert world.total("claude_code_lines_of_code_total", user="unknown", project="unknown") == 3


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (-1, "value"),
        (float("nan"), "value"),
        (float("inf"), "value"),
        (1e16, "value"),
        (True, "value"),
        (None, "value"),
        ("much", "value"),
        ([], "value"),
        (1.5, "value"),
    ],
)
def test_a_number_that_is_none_adds_nothing(world: World, value: Any, reason: str) -> None:
    bad = {**point(0, type="input", model="m"), "asDouble": value}
    good = point(7, type="input", model="m")
    assert world.export(metrics(TOKENS, [bad, good])) == (1, {reason: 1}, False)
    assert world.total("claude_code_tokens_total") == 7
    assert world.total("claude_code_exporter_rejected_total", reason=reason) == 1


def test_more_than_a_million_dollars_in_one_point_is_a_lie(world: World) -> None:
    assert world.export(metrics(COST, [point(1_970_946, model="m")])).rejected == {"value": 1}


def test_integers_come_as_text_or_as_numbers(world: World) -> None:
    for written in ("12", 12):
        item = point(0, type="input", model="m", query_source="main")
        del item["asDouble"]
        world.export(metrics(TOKENS, [{**item, "asInt": written}]))
    assert world.total("claude_code_tokens_total", query_source="main") == 24


def test_an_unknown_metric_a_gauge_and_an_unspecified_temporality_are_refused(world: World) -> None:
    assert world.export(metrics("claude_code.novelty", [point(1)])).rejected == {"unknown_metric": 1}
    assert world.export(metrics(COST, [point(1)], temporality=0)).rejected == {"temporality": 1}
    gauge = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": COST, "gauge": {}}]}]}]}
    assert world.export(gauge).rejected == {"not_a_sum": 1}


@pytest.mark.parametrize(
    "time", ["99999999999999999999", 1 << 70, -5, "-9223372036854775808", "soon", None, True]
)
def test_a_time_beyond_any_clock_is_no_time_and_the_event_counts(world: World, time: Any) -> None:
    record = {**event("api_request", request_id="r", cost_usd=0.5, model="m"), "timeUnixNano": time}
    assert world.export(logs([record])).accepted == 1
    assert world.total("claude_code_request_cost_usd_total") == 0.5


def test_enumerations_by_name_count_as_well(world: World) -> None:
    body = metrics(COST, [point(0.5, model="m")])
    body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]["aggregationTemporality"] = (
        "AGGREGATION_TEMPORALITY_DELTA"
    )
    assert world.export(body).accepted == 1


@pytest.mark.parametrize("payload", [None, [], "x", 7, {"resourceMetrics": 3}, {"resourceMetrics": [[]]}])
def test_a_body_that_is_no_otlp_is_refused_whole_and_counted(world: World, payload: object) -> None:
    with pytest.raises(Malformed):
        world.ledger.otlp_metrics(payload, digest=b"d", now=NOW)
    assert world.total("claude_code_exporter_rejected_total", reason="otlp") == 1


def test_half_a_body_counts_nothing(world: World) -> None:
    body = metrics(COST, [point(0.5, model="m")])
    body["resourceMetrics"].append({"scopeMetrics": "none"})
    with pytest.raises(Malformed):
        world.export(body)
    assert world.total(SPEND) == 0


def test_the_same_request_reported_twice_in_different_bodies_counts_once(world: World) -> None:
    for number in range(2):
        request = event("api_request", request_id="req_1", cost_usd=0.5, model="m", sequence=number)
        world.export(logs([request]))
    assert world.total("claude_code_request_cost_usd_total") == 0.5


def test_failures_count_by_model_and_status(world: World) -> None:
    world.export(
        logs(
            [
                event("api_error", model="m", status_code="529"),
                event("api_error", model="m", status_code=500),
                event("api_error", model="m"),
                event("api_error", model="m", status_code="x\ny"),
                event("api_retries_exhausted", model="m", status_code="529"),
            ]
        )
    )
    found = {
        code: world.total("claude_code_api_errors_total", status_code=code)
        for code in ("529", "500", "none", "other")
    }
    assert found == {"529": 1, "500": 1, "none": 1, "other": 1}
    assert world.total("claude_code_api_retries_exhausted_total", status_code="529") == 1


def test_reconciliation_shows_what_one_source_lacks(world: World) -> None:
    world.export(metrics(COST, [point(1.0, model="m")]))
    assert "claude_code_reconciliation_difference_ratio" not in str(world.names())
    world.export(logs([event("api_request", request_id="r", cost_usd=0.9, model="m")]))
    assert world.total("claude_code_reconciliation_difference_ratio", quantity="cost") == 0.1


NAMES = st.sampled_from(
    [
        "resourceMetrics",
        "scopeMetrics",
        "metrics",
        "sum",
        "dataPoints",
        "name",
        "asDouble",
        "asInt",
        "attributes",
    ]
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(COST),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(JUNK)
def test_no_junk_crashes_the_decoder(payload: object) -> None:
    for decode in (otlp.metrics, otlp.logs):
        try:
            _, rejected = decode(payload)
        except Malformed:
            continue
        assert all(count > 0 for count in rejected.values())


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every node of a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [place for key, child in inner for place in places(child, (*path, key))]


BODY = {
    "metrics": metrics(TOKENS, [point(5, time=9, model="m", type="input", query_source="main")]),
    "logs": logs([event("api_request", time=9, model="m", request_id="r", cost_usd=0.5, input_tokens=5)]),
}
PLACES = [(kind, place) for kind, body in BODY.items() for place in places(body) if place]


@settings(max_examples=150)
@given(where=st.sampled_from(PLACES), junk=JUNK)
def test_a_body_damaged_anywhere_never_counts_more_than_the_whole_one(
    where: tuple[str, tuple[Any, ...]], junk: Any
) -> None:
    kind, place = where
    body = copy.deepcopy(BODY[kind])
    node: Any = body
    for key in place[:-1]:
        node = node[key]
    intact = node[place[-1]]
    node[place[-1]] = junk
    number = isinstance(junk, (int, float)) and isinstance(intact, (int, float, str))
    with fresh_world() as world:
        world.write(line("SessionStart"))
        take = world.ledger.otlp_metrics if kind == "metrics" else world.ledger.otlp_logs
        with contextlib.suppress(Malformed):
            assert take(body, digest=json.dumps(body).encode(), now=NOW).accepted <= 1
        limit = 10**15 if number else 5
        assert 0 <= world.total("claude_code_tokens_total") <= limit
        assert 0 <= world.total("claude_code_request_tokens_total") <= limit
        assert 0 <= world.total("claude_code_request_cost_usd_total") <= (10**6 if number else 0.5)
