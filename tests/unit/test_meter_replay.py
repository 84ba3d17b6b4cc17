"""The recorded session of the real client ends as the numbers that its script implies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit.meter_world import NOW, SESSION, World, captured, captured_lines

if TYPE_CHECKING:
    from pathlib import Path

OUTCOMES = {
    ("Agent", "success"): 1,
    ("Bash", "success"): 1,
    ("Bash", "failure"): 1,
    ("Bash", "blocked"): 1,
    ("Edit", "success"): 1,
    ("Glob", "success"): 1,
    ("Grep", "success"): 1,
    ("Read", "success"): 1,
    ("Read", "blocked"): 1,
    ("Write", "success"): 1,
}


def replay(world: World) -> None:
    world.write(*captured_lines())
    world.export(captured("metrics"))
    world.export(captured("logs"))
    world.ledger.tick(now=NOW + 20, boot_id="boot")


def cumulative(*, share: int) -> Any:
    """Return the recorded export as a running total of which a share (in percent) was reached."""
    export = captured("metrics")
    for metric in export["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]:
        metric["sum"]["aggregationTemporality"] = 2
        for point in metric["sum"]["dataPoints"]:
            point["timeUnixNano"] = str(int(point["timeUnixNano"]) + share)
            whole = float(point["asDouble"]).is_integer()
            point["asDouble"] *= share / 100
            if whole:
                point["asDouble"] //= 1
    return export


def test_every_tool_call_counts_once_with_its_outcome(tmp_path: Path) -> None:
    world = World(tmp_path)
    replay(world)
    found = {
        (sample.labels["tool"], sample.labels["outcome"]): sample.value
        for family in world.ledger.families(now=NOW)
        for sample in family.samples
        if family.name == "claude_code_tool_usage_total" and sample.value
    }
    assert found == OUTCOMES


def test_cost_is_exact_to_the_nano_dollar_in_every_view(tmp_path: Path) -> None:
    world = World(tmp_path)
    replay(world)
    assert world.total("claude_code_spend_usd_total", query_source="main") == 0.07272
    assert world.total("claude_code_spend_usd_total", query_source="subagent") == 0.00606
    assert world.total("claude_code_request_cost_usd_total") == 0.07878
    assert world.total("claude_code_cost_usd", session_id=SESSION) == 0.07878
    assert round(world.total("claude_code_tool_cost_usd_total"), 9) == 0.07878
    assert world.total("claude_code_reconciliation_difference_ratio") == 0


def test_tokens_sessions_and_edits_are_those_of_the_script(tmp_path: Path) -> None:
    world = World(tmp_path)
    replay(world)
    by_type = {"input": 13000, "output": 650, "cacheRead": 3900, "cacheCreation": 2600}
    for kind, tokens in by_type.items():
        assert world.total("claude_code_tokens_total", type=kind) == tokens
        assert world.total("claude_code_request_tokens_total", type=kind) == tokens
    assert world.total("claude_code_sessions_total", start_type="fresh") == 1
    assert world.total("claude_code_lines_of_code_total", type="added") == 3
    assert world.total("claude_code_edit_decisions_total", decision="accept") == 2
    assert world.total("claude_code_active_time_seconds_total", type="cli") == 1.328
    assert world.total("claude_code_response_time_seconds_count") == 13
    assert world.total("claude_code_hook_duration_seconds_count") == 26
    assert world.total("claude_code_prompts_total") == 2
    assert world.total("claude_code_session_duration_seconds_sum") == 2.6
    assert world.total("claude_code_active_sessions") == 0


def test_every_series_carries_user_and_project_of_the_session(tmp_path: Path) -> None:
    world = World(tmp_path)
    replay(world)
    assert world.total("claude_code_spend_usd_total", user="dev", project="proj") == 0.07878
    assert not [name for name in world.series() if "unknown" in name]


def test_telemetry_that_comes_before_the_journal_gives_the_same_numbers(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    usual, early = World(tmp_path / "a"), World(tmp_path / "b")
    replay(usual)
    early.export(captured("logs"))
    early.export(captured("metrics"))
    early.write(*captured_lines())
    early.ledger.tick(now=NOW + 20, boot_id="boot")
    assert early.series() == usual.series()


def test_running_totals_repeated_and_late_give_the_same_numbers_as_increments(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    increments, totals = World(tmp_path / "a"), World(tmp_path / "b")
    replay(increments)
    totals.write(*captured_lines())
    for share in (40, 100, 80, 100):
        assert not totals.export(cumulative(share=share)).rejected
    totals.export(captured("logs"))
    totals.ledger.tick(now=NOW + 20, boot_id="boot")
    assert totals.series() == increments.series()


def test_a_ledger_opened_again_shows_what_it_showed(tmp_path: Path) -> None:
    world = World(tmp_path)
    replay(world)
    before = world.series()
    world.reopen()
    assert world.series() == before
