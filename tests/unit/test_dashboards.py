"""Dashboards: as the code renders them, in Grafana's schema, and asking for nothing that does not exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from dashboards import render
from tests.support.series import known, names

SCHEMA = json.loads((Path(__file__).parent / "dashboard.schema.json").read_text(encoding="utf-8"))
FILES = sorted(render.TARGET.glob("*.json"))
BOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FILES}


def panels() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{name}: {panel['title']}", panel)
        for name, board in BOARDS.items()
        for panel in board["panels"]
        if panel["type"] != "row"
    ]


PANELS = panels()
IDS = [title for title, _ in PANELS]


def test_the_committed_files_are_what_the_code_renders() -> None:
    assert render.stale(render.TARGET) == []


def test_a_changed_a_missing_and_a_surplus_file_are_named(tmp_path: Path) -> None:
    for name, content in render.rendered().items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "cost.json").write_text("{}", encoding="utf-8")
    (tmp_path / "fleet.json").unlink()
    (tmp_path / "mine.json").write_text("{}", encoding="utf-8")
    assert render.stale(tmp_path) == ["cost.json", "fleet.json", "mine.json"]


def test_there_are_six() -> None:
    assert sorted(BOARDS) == ["activity", "cost", "fleet", "performance", "pipeline", "security"]
    assert len({board["uid"] for board in BOARDS.values()}) == 6


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_a_dashboard_keeps_to_the_strict_schema(name: str) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(BOARDS[name])


def test_the_schema_refuses_what_grafana_9_4_does_not_know() -> None:
    board = json.loads(json.dumps(BOARDS["fleet"]))
    next(panel for panel in board["panels"] if panel["type"] == "stat")["options"]["wideLayout"] = True
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(board)


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_a_dashboard_has_the_six_variables_and_links_to_the_others(name: str) -> None:
    board = BOARDS[name]
    variables = [variable["name"] for variable in board["templating"]["list"]]
    assert variables == ["datasource", "team", "user", "host", "project", "model"]
    assert board["links"][0]["tags"] == ["claude-code"]


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_panels_of_a_dashboard_neither_overlap_nor_leave_the_grid(name: str) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not mine & cells, panel["title"]
        cells |= mine


@pytest.mark.parametrize(("title", "panel"), PANELS, ids=IDS)
def test_a_panel_asks_for_known_series_only(title: str, panel: dict[str, Any]) -> None:
    asked = {name for target in panel["targets"] for name in names(target["expr"])}
    assert asked, title
    assert {name for name in asked if not known(name)} == set()


@pytest.mark.parametrize(("title", "panel"), PANELS, ids=IDS)
def test_a_panel_asks_for_bounded_and_never_for_raw_names(title: str, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        for count in re.findall(r"\b(?:topk|bottomk)\(\s*([^,]*),", target["expr"]):
            assert 1 <= int(count) <= 20, title
        assert not re.search(r"_(cost_usage|token_usage|session_count|code_edit_tool)", target["expr"])
        assert "claude_code:dialect" not in target["expr"]


def test_queries_of_a_table_carry_no_name_and_so_join_in_one_row() -> None:
    for title, panel in PANELS:
        if panel["type"] == "table":
            for target in panel["targets"]:
                bare = re.sub(r"^(time\(\) - |topk\(\d+, )", "", target["expr"])
                assert re.match(r"(sum|min|max|count) by \(", bare), title


def test_links_of_panels_lead_to_dashboards_that_exist() -> None:
    uids = {board["uid"] for board in BOARDS.values()}
    linked = {
        match.group(1)
        for _, panel in PANELS
        for link in panel.get("links", [])
        if (match := re.match(r"/d/([a-z-]+)\?", link["url"]))
    }
    assert linked
    assert linked <= uids


def test_alerts_are_shown() -> None:
    shown = {title.split(":")[0] for title, panel in PANELS if "ALERTS{" in panel["targets"][0]["expr"]}
    assert {"fleet", "security", "pipeline"} <= shown
    assert all(
        board["annotations"]["list"][0]["expr"].startswith("sum by (alertname) (ALERTS")
        for board in BOARDS.values()
    )


def test_names_are_found_in_an_expression() -> None:
    expr = 'sum by (team) (rate(claude_code_x_total{team=~"claude_code_y"}[5m])) / claude_code:z or up'
    assert names(expr) == {"claude_code_x_total", "claude_code:z", "up"}
