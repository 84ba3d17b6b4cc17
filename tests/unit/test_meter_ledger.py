"""Every input counts once, for the right user and project, and nothing grows without bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from utils.meter import live, partners
from utils.meter.ledger import Options

from tests.unit.meter_world import NAME, NOW, SESSION, World, event, fresh_world, line, logs, metrics, point

if TYPE_CHECKING:
    from pathlib import Path

COST = "claude_code.cost.usage"
SPEND = "claude_code_spend_usd_total"
EVENTS = "claude_code_hook_events_total"
TOOLS = "claude_code_tool_usage_total"
TOOL_COST = "claude_code_tool_cost_usd_total"
WAIT = "claude_code_permission_wait_seconds"
DURATION = "claude_code_session_duration_seconds"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def prompt(number: int = 0, **fields: Any) -> bytes:
    return line("UserPromptSubmit", time=NOW + number, **fields)


def test_a_chunk_read_twice_counts_once(world: World) -> None:
    data = prompt() + prompt(1)
    for _ in range(2):
        at = world.ledger.journal(owner=1, user="dev", journal=NAME, offset=0, chunk=data, now=NOW)
        assert at == len(data)
    assert world.total("claude_code_prompts_total") == 2


def test_a_chunk_that_overlaps_what_is_known_counts_its_rest(world: World) -> None:
    data = prompt() + prompt(1)
    cut = len(prompt()) + 5
    world.ledger.journal(owner=1, user="dev", journal=NAME, offset=0, chunk=data[:cut], now=NOW)
    world.ledger.journal(owner=1, user="dev", journal=NAME, offset=0, chunk=data, now=NOW)
    assert world.total("claude_code_prompts_total") == 2


def test_a_chunk_from_beyond_what_is_known_waits_for_what_is_missing(world: World) -> None:
    at = world.ledger.journal(owner=1, user="dev", journal=NAME, offset=10, chunk=prompt(), now=NOW)
    assert at == 0
    assert world.total("claude_code_prompts_total") == 0


def test_half_a_line_waits_for_its_other_half(world: World) -> None:
    text = prompt()
    assert world.write(text[:-10]) == 0
    assert world.write(text) == len(text)
    assert world.total("claude_code_prompts_total") == 1


def test_a_line_cut_by_a_crash_is_refused_and_the_next_counts(world: World) -> None:
    world.write(prompt()[:-10] + b"\n" + prompt())
    assert world.total("claude_code_prompts_total") == 1
    assert world.total("claude_code_exporter_rejected_total", reason="json") == 1


def test_an_endless_line_is_refused_once_and_the_next_counts(world: World) -> None:
    world.write(b"x" * 5000)
    world.write(b"x" * 5000)
    world.reopen()
    world.write(b"x\n" + prompt())
    assert world.total("claude_code_prompts_total") == 1
    assert world.total("claude_code_exporter_rejected_total", reason="line_too_long") == 1
    assert world.total("claude_code_exporter_rejected_total") == 1


def test_a_copied_journal_counts_once_for_its_owner(world: World) -> None:
    for owner in (1000, 1000, 1001):
        user = f"user{owner}"
        data = prompt(s=f"s{owner}")
        world.ledger.journal(owner=owner, user=user, journal=NAME, offset=0, chunk=data, now=NOW)
    assert world.total("claude_code_prompts_total", user="user1000") == 1
    assert world.total("claude_code_prompts_total", user="user1001") == 1


def test_who_names_the_session_of_somebody_else_counts_only_for_himself(world: World) -> None:
    world.write(line("SessionStart"), owner=1000, user="ada")
    world.write(line("SessionStart", p="evil"), prompt(p="evil"), owner=1001, user="bob")
    world.export(metrics(COST, [point(0.5, model="m")]))
    assert world.total(SPEND, user="ada", project="proj") == 0.5
    assert world.total("claude_code_prompts_total", user="bob", project="evil") == 1
    assert world.total("claude_code_prompts_total", user="ada") == 0
    assert world.total("claude_code_active_sessions") == 1


def test_a_canary_counts_nowhere_but_as_a_canary(world: World) -> None:
    before = world.names()
    world.write(line("Canary", time=NOW - 5, s="", p=""))
    assert world.series() == {
        "claude_code_canary_events_total{}": 1,
        "claude_code_canary_latency_seconds{}": 5,
        "claude_code_canary_timestamp_seconds{}": NOW - 5,
    }
    assert world.names() - before == {
        "claude_code_canary_latency_seconds[]",
        "claude_code_canary_timestamp_seconds[]",
    }


def test_a_canary_from_a_clock_that_is_ahead_took_no_time(world: World) -> None:
    world.write(line("Canary", time=NOW + 5, s="", p=""))
    assert world.total("claude_code_canary_latency_seconds") == 0
    assert world.total("claude_code_canary_timestamp_seconds") == NOW + 5


def test_closed_sets_stand_at_0_before_anything_of_them_counts(world: World) -> None:
    world.write(line("SessionStart"), line("PreToolUse", k="Bash"))
    names = str(world.names())
    for label in ("PreCompact", "manual", "blocked", "rm_rf", "env_file", "fresh", "added"):
        assert f"'{label}'" in names
    assert world.total(TOOLS) == 0


def test_a_failed_call_that_is_then_reported_as_done_is_one_failure(world: World) -> None:
    fields: dict[str, Any] = {"k": "Bash", "i": "toolu_1", "d": 8}
    world.write(line("PostToolUseFailure", **fields))
    world.reopen()
    world.write(line("PostToolUse", **fields))
    assert world.total(TOOLS, outcome="failure") == 1
    assert world.total(TOOLS) == 1
    assert world.total("claude_code_tool_duration_seconds_sum") == 0.008


def test_a_blocked_call_counts_with_reason_and_tool_and_an_audited_one_apart(world: World) -> None:
    world.write(
        line("PreToolUse", k="Bash", r="rm_rf"),
        line("PreToolUse", k="Read", a="env_file"),
        line("PreToolUse", k="mcp__x__y", r="whatever\n"),
    )
    assert world.total("claude_code_security_blocks_total", reason="rm_rf", tool="Bash") == 1
    assert world.total("claude_code_security_blocks_total", reason="other", tool="mcp") == 1
    assert world.total("claude_code_security_audits_total", reason="env_file", tool="Read") == 1
    assert world.total(TOOLS, outcome="blocked") == 2


def test_a_blocked_prompt_counts_once_as_a_block_and_is_no_prompt_and_no_call(world: World) -> None:
    world.write(line("SessionStart"))
    assert "('reason', 'env_file'), ('tool', 'prompt')" in str(world.names())
    lines = (
        line("UserPromptSubmit"),
        line("UserPromptSubmit", r="env_file"),
        line("UserPromptSubmit", a="env_file"),
    )
    world.write(*lines)
    world.reopen()
    assert world.total("claude_code_security_blocks_total") == 1
    assert world.total("claude_code_security_blocks_total", reason="env_file", tool="prompt") == 1
    assert world.total("claude_code_security_audits_total", reason="env_file", tool="prompt") == 1
    assert world.total("claude_code_hook_events_total", event="UserPromptSubmit") == 3
    assert world.total("claude_code_prompts_total") == 2
    assert world.total(TOOLS) == 0


def test_details_count_by_their_closed_lists(world: World) -> None:
    world.write(
        line("Notification", x="permission_prompt"),
        line("Notification", x="novel"),
        line("PreCompact", x="auto"),
        line("SubagentStart", x="Explore"),
        line("SubagentStart", x="my-secret-agent"),
        line("Novelty"),
    )
    assert world.total("claude_code_notifications_total", type="permission_prompt") == 1
    assert world.total("claude_code_notifications_total", type="other") == 1
    assert world.total("claude_code_compactions_total", trigger="auto") == 1
    assert world.total("claude_code_subagents_total", agent_type="Explore") == 1
    assert world.total("claude_code_subagents_total", agent_type="other") == 1
    assert world.total(EVENTS, event="other") == 1


@pytest.mark.parametrize(
    ("ending", "waited"),
    [
        (line("PostToolUse", time=NOW + 42, k="Bash", i="toolu_1", d=2000), 40),
        (line("PostToolUseFailure", time=NOW + 42, k="Bash", i="toolu_1", d=2000), 40),
        (line("PermissionDenied", time=NOW + 7, k="Bash"), 7),
        (line("Stop", time=NOW + 9), 9),
        (line("UserPromptSubmit", time=NOW + 11), 11),
        (line("PostToolUse", time=NOW - 50, k="Bash"), 0),
    ],
)
def test_a_person_is_waited_for_until_the_tool_runs_or_is_denied(
    world: World, ending: bytes, waited: float
) -> None:
    world.write(line("PreToolUse", k="Bash", i="toolu_1"), line("PermissionRequest", k="Bash"))
    world.reopen()
    world.write(ending, line("Stop", time=NOW + 60))
    assert world.total(f"{WAIT}_sum", tool="Bash") == waited
    assert world.total(f"{WAIT}_count") == 1


def test_telemetry_waits_for_its_session_and_counts_once(world: World) -> None:
    world.export(metrics(COST, [point(0.5, model="m"), point(0.25, model="m")]))
    world.reopen()
    assert world.total(SPEND) == 0
    for _ in range(2):
        world.write(prompt())
    assert world.total(SPEND, user="dev", project="proj") == 0.75
    world.ledger.tick(now=NOW + 10_000, boot_id="b")
    assert world.total(SPEND) == 0.75


def test_telemetry_of_a_session_that_no_hook_ever_names_is_of_user_unknown(world: World) -> None:
    world.export(metrics(COST, [point(0.5, model="m")]))
    world.ledger.tick(now=NOW + 299, boot_id="b")
    assert world.total(SPEND) == 0
    world.ledger.tick(now=NOW + 300, boot_id="b")
    assert world.total(SPEND, user="unknown", project="unknown") == 0.5
    world.write(prompt())
    assert world.total(SPEND) == 0.5


def test_what_waits_is_bounded_and_none_of_it_is_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partners, "WAITING", 10)
    world.export(metrics(COST, [point(0.001, session=f"s{number}", model="m") for number in range(25)]))
    world.ledger.tick(now=NOW, boot_id="b")
    assert world.total(SPEND, user="unknown") == 0.015
    world.ledger.tick(now=NOW + 300, boot_id="b")
    assert world.total(SPEND, user="unknown") == 0.025


def test_the_gauges_of_a_session_leave_a_while_after_its_end_and_the_counters_stay(world: World) -> None:
    world.write(line("SessionStart"), line("SessionEnd", time=NOW + 1, x="other"))
    world.export(metrics(COST, [point(0.5, model="m")]))
    assert world.total("claude_code_cost_usd", session_id=SESSION, now=NOW + 899) == 0.5
    assert world.total("claude_code_cost_usd", now=NOW + 900) == 0
    world.ledger.tick(now=NOW + 901, boot_id="b")
    world.export(metrics(COST, [point(0.25, model="m")]), now=NOW + 902)
    assert world.total("claude_code_cost_usd", now=NOW + 902) == 0
    assert world.total(SPEND, user="dev", now=NOW + 902) == 0.75


def test_active_sessions_count_up_and_down(world: World) -> None:
    world.write(line("SessionStart", s="a"), line("SessionStart", s="b"), line("SessionStart", s="c"))
    assert world.total("claude_code_active_sessions", user="dev", project="proj") == 3
    world.write(line("SessionEnd", s="a"))
    assert world.total("claude_code_active_sessions") == 2
    world.ledger.tick(now=NOW + 1801, boot_id="b")
    assert world.total("claude_code_active_sessions") == 0
    assert world.total(f"{DURATION}_count") == 3


def test_a_reboot_closes_the_sessions_of_the_life_before(world: World) -> None:
    world.write(line("SessionStart"), line("Stop", time=NOW + 30))
    world.ledger.tick(now=NOW + 31, boot_id="first")
    world.reopen()
    world.ledger.tick(now=NOW + 40, boot_id="first")
    assert world.total("claude_code_active_sessions") == 1
    world.reopen()
    world.ledger.tick(now=NOW + 90, boot_id="second")
    assert world.total("claude_code_active_sessions") == 0
    assert world.total(f"{DURATION}_sum") == 30


def test_a_clock_set_back_a_year_keeps_nothing_waiting_for_a_year(world: World) -> None:
    world.write(line("SessionStart"))
    world.export(metrics(COST, [point(0.5, session="nobody", model="m")]))
    world.ledger.tick(now=NOW, boot_id="b")
    past = NOW - 365 * 86400
    for later in (0, 301, 1900):
        world.ledger.tick(now=past + later, boot_id="b")
    assert world.total(SPEND, user="unknown") == 0.5
    assert world.total("claude_code_active_sessions") == 0
    assert world.total(f"{DURATION}_sum") == 0


def test_a_clock_set_ahead_closes_sessions_without_adding_to_their_duration(world: World) -> None:
    world.write(line("SessionStart"), line("Stop", time=NOW + 10))
    world.ledger.tick(now=NOW + 365 * 86400, boot_id="b")
    world.write(line("UserPromptSubmit", time=NOW + 365 * 86400))
    assert world.total(f"{DURATION}_sum") == 10
    assert world.total("claude_code_active_sessions") == 1


def request(name: str, cost: float, *, time: int, **fields: str) -> dict[str, object]:
    return event("api_request", time=time, request_id=name, cost_usd=cost, model="m", **fields)


def decision(name: str, tool: str, use: str) -> dict[str, object]:
    return event("tool_decision", request_id=name, tool_name=tool, tool_use_id=use)


def test_a_request_is_shared_among_its_tools_to_the_last_nano_dollar(world: World) -> None:
    world.write(line("SessionStart"))
    calls = [decision("r1", tool, f"u{number}") for number, tool in enumerate(("Bash", "Bash", "Read"))]
    world.export(logs([request("r1", 0.000001, time=1), *calls, request("r2", 0.5, time=2)]))
    world.ledger.tick(now=NOW + 14, boot_id="b")
    assert world.total(TOOL_COST) == 0
    world.ledger.tick(now=NOW + 15, boot_id="b")
    assert world.total(TOOL_COST, tool="Bash") == 0.000000667
    assert world.total(TOOL_COST, tool="Read") == 0.000000333
    assert world.total(TOOL_COST, tool="none") == 0


def test_decision_and_result_of_one_call_are_one_call(world: World) -> None:
    world.write(line("SessionStart"))
    result = event("tool_result", request_id="r1", tool_name="Bash", tool_use_id="u0")
    world.export(logs([decision("r1", "Bash", "u0"), decision("r1", "Read", "u1"), result]))
    world.export(logs([request("r1", 0.5, time=1)]))
    world.ledger.tick(now=NOW + 1801, boot_id="b")
    assert world.total(TOOL_COST, tool="Bash") == 0.25
    assert world.total(TOOL_COST, tool="Read") == 0.25


def test_a_client_that_does_not_say_which_request_called_is_taken_in_the_order_of_its_events(
    world: World,
) -> None:
    world.write(line("SessionStart"))
    world.export(
        logs(
            [
                event("tool_result", time=4, tool_name="Bash", tool_use_id="u0"),
                event("tool_decision", time=6, tool_name="Read", tool_use_id="u1"),
                event("tool_decision", time=3, tool_name="Bash", tool_use_id="u0"),
                request("r2", 0.5, time=5, query_source="sdk"),
                request("title", 0.125, time=2, query_source="generate_session_title"),
                request("r1", 0.25, time=1, query_source="sdk"),
                request("r3", 1.0, time=7, query_source="sdk"),
            ]
        )
    )
    world.write(line("SessionEnd"))
    world.ledger.tick(now=NOW + 15, boot_id="b")
    found = {tool: world.total(TOOL_COST, tool=tool) for tool in ("Bash", "Read", "none")}
    assert found == {"Bash": 0.25, "Read": 0.5, "none": 1.125}


def test_a_request_is_not_settled_while_its_follower_is_new(world: World) -> None:
    world.write(line("SessionStart"))
    world.export(logs([request("r1", 0.5, time=1)]))
    world.export(logs([request("r2", 0.5, time=2)]), now=NOW + 100)
    world.ledger.tick(now=NOW + 101, boot_id="b")
    world.export(logs([decision("r1", "Bash", "u0")]), now=NOW + 102)
    world.ledger.tick(now=NOW + 117, boot_id="b")
    assert world.total(TOOL_COST, tool="Bash") == 0.5


def test_the_last_request_of_a_session_is_settled_by_its_end(world: World) -> None:
    world.write(line("SessionStart"), line("SessionEnd", time=NOW + 1))
    world.export(logs([request("r1", 0.5, time=1)]))
    world.ledger.tick(now=NOW + 15, boot_id="b")
    assert world.total(TOOL_COST, tool="none") == 0.5


def test_a_request_waits_half_an_hour_for_a_person_to_allow_its_tool(world: World) -> None:
    world.write(line("SessionStart"))
    world.export(logs([request("r1", 0.5, time=1), request("r2", 0.1, time=2, agent_id="another")]))
    world.ledger.tick(now=NOW + 1700, boot_id="b")
    assert world.total(TOOL_COST) == 0
    world.export(logs([decision("r1", "Bash", "u0")]), now=NOW + 1701)
    world.ledger.tick(now=NOW + 1700 + 1801, boot_id="b")
    assert world.total(TOOL_COST, tool="Bash") == 0.5


def test_a_call_after_its_request_was_settled_adds_nothing(world: World) -> None:
    world.write(line("SessionStart"))
    world.export(logs([request("r1", 0.5, time=1), request("r2", 0.5, time=2)]))
    world.ledger.tick(now=NOW + 15, boot_id="b")
    world.export(logs([decision("r1", "Bash", "u0"), request("r1", 0.5, time=1)]), now=NOW + 16)
    world.ledger.tick(now=NOW + 5000, boot_id="b")
    assert world.total(TOOL_COST, tool="none") == 1.0
    assert world.total(TOOL_COST) == 1.0


def test_a_request_without_an_identifier_is_of_an_unknown_tool(world: World) -> None:
    world.write(line("SessionStart"))
    world.export(logs([event("api_request", cost_usd=0.5, model="m")]))
    assert world.total(TOOL_COST, tool="unknown") == 0.5


def test_open_requests_are_bounded_and_none_is_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partners, "REQUESTS", 10)
    world.write(line("SessionStart"))
    world.export(logs([request(f"r{number}", 0.001, time=1) for number in range(25)]))
    world.ledger.tick(now=NOW, boot_id="b")
    assert world.total(TOOL_COST) == 0.015
    world.ledger.tick(now=NOW + 1800, boot_id="b")
    assert world.total(TOOL_COST) == 0.025


def test_ten_thousand_sessions_leave_a_hosts_series_as_one_session_left_them() -> None:
    with fresh_world() as world:
        seen = []
        for first in range(0, 10_000, 2_500):
            for number in range(first, first + 2_500) if first else (0,):
                mine: dict[str, Any] = {"s": f"s{number}", "k": "Bash", "i": f"u{number}"}
                world.write(*(line(name, **mine) for name in ("SessionStart", "PostToolUse", "SessionEnd")))
                if number % 100 == 0:
                    world.export(metrics(COST, [point(0.01, session=f"s{number}", model="m")]))
            if first == 0:
                continue_from = world.names(now=NOW + 901)
            world.ledger.tick(now=NOW + 901, boot_id="b")
            seen.append(world.names(now=NOW + 901))
        assert seen == [continue_from] * 4


def test_sessions_that_never_end_are_bounded_in_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LIVE", 50)
    world.write(*(line("SessionStart", s=f"s{number}") for number in range(500)))
    assert world.total("claude_code_active_sessions") == 50
    assert world.total(f"{DURATION}_count") == 450
    world.write(line("UserPromptSubmit", s="s3"))
    assert world.total("claude_code_prompts_total", user="dev") == 1
    assert world.total("claude_code_active_sessions") == 50


def test_a_thousand_new_tools_are_one_series_each_outcome(world: World) -> None:
    world.write(*(line("PostToolUse", k=f"Tool{number}", i=f"u{number}") for number in range(1000)))
    assert world.total(TOOLS, tool="other", outcome="success") == 1000
    assert len([name for name in world.series() if name.startswith(TOOLS)]) == 1


def test_projects_beyond_the_fiftieth_are_one(world: World) -> None:
    world.write(*(line("Stop", s=f"s{number}", p=f"p{number}") for number in range(120)))
    world.reopen()
    world.write(line("Stop", s="again", p="p119"), line("Stop", s="known", p="p7"))
    assert world.total(EVENTS, project="other") == 71
    assert world.total(EVENTS, project="p7") == 2
    assert len({name.split("project")[1].split(")")[0] for name in world.names() if "'project" in name}) == 51


@pytest.mark.parametrize("project", ['a"b', "a\nb", "a\\b", "x" * 10_000, "x" * 65, "\x1b[31m", "\ud800"])
def test_a_hostile_project_is_other_or_refused(world: World, project: str) -> None:
    world.write(line("Stop", p=project))
    refused = world.total("claude_code_exporter_rejected_total", reason="line_too_long")
    assert world.total(EVENTS, project="other") + refused == 1


def test_an_unnamed_project_is_unknown_and_a_foreign_one_is_kept(world: World) -> None:
    world.write(line("Stop", s="a", p=None), line("Stop", s="b", p="größe-年"))
    assert world.total(EVENTS, project="unknown") == 1
    assert world.total(EVENTS, project="größe-年") == 1


def test_models_beyond_the_twentieth_are_one(world: World) -> None:
    world.write(line("SessionStart"))
    world.export(metrics(COST, [point(0.01, model=f"model-{number}") for number in range(60)]))
    world.export(metrics(COST, [point(0.01, model=model) for model in ("two words", "x" * 65, "")]))
    assert world.total(SPEND, model="other") == 0.43
    assert len([name for name in world.series() if name.startswith(SPEND)]) == 21
    assert len([name for name in world.series() if name.startswith("claude_code_cost_usd")]) == 21


def test_a_new_series_shows_0_until_it_can_have_been_scraped(tmp_path: Path) -> None:
    world = World(tmp_path, Options(debut=30))
    world.write(prompt(), line("PostToolUse", k="Bash", d=100))
    assert world.series(now=NOW + 29) == {"claude_code_active_sessions{user=dev,project=proj}": 1}
    assert b'claude_code_prompts_total{user="dev",project="proj"} 0\n' in world.ledger.exposition(now=NOW)
    assert world.total("claude_code_prompts_total", now=NOW + 30) == 1
    assert world.total("claude_code_tool_duration_seconds_count", now=NOW + 30) == 1


def test_constant_labels_stand_on_every_series(tmp_path: Path) -> None:
    world = World(tmp_path, Options({"team": "platform", "cost_center": "cc 42"}))
    world.write(line("SessionStart"), line("Canary"), line("PostToolUse", k="Bash", d=5))
    world.export(metrics(COST, [point(0.5, model="m")]))
    world.export(logs([event("api_request", request_id="r", cost_usd=0.5, model="m")]))
    for family in world.ledger.families(now=NOW):
        for sample in family.samples:
            assert sample.labels["team"] == "platform"
            assert sample.labels["cost_center"] == "cc 42"


def test_no_content_reaches_the_ledger_and_a_search_would_find_it(world: World, tmp_path: Path) -> None:
    secret = "hunter2-canary"
    world.write(line("UserPromptSubmit", q=secret, r=secret, x=secret, k=secret))
    world.write(line("PreToolUse", k=f"mcp__{secret}", r=secret))
    world.write(line("PermissionRequest", k=f"mcp__{secret}", x=secret))
    world.export(logs([event("user_prompt", prompt=secret, tool_name=secret)]))
    world.export(logs([event("tool_result", request_id="r", tool_name=secret, error=secret)]))
    world.export(logs([event("api_request", request_id="r", cost_usd=0.5, agent_id=secret, body=secret)]))
    world.ledger.tick(now=NOW, boot_id="b")
    assert secret.encode() not in world.ledger.exposition(now=NOW)
    world.ledger.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert SESSION.encode() in stored
    assert secret.encode() not in stored
