"""Alerts: complete to the reader, each seen firing and silent, each with a runbook."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.support.series import GROUPS

ROOT = Path(__file__).resolve().parents[2]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}
CASES = [
    case
    for path in sorted((ROOT / "tests" / "rules").glob("*.yml"))
    for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
]
TABLE = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")


def test_every_group_and_every_alert_has_a_name_of_its_own() -> None:
    groups = [group["name"] for group in GROUPS]
    alerts = [rule["alert"] for group in GROUPS for rule in group["rules"] if "alert" in rule]
    assert len(set(groups)) == len(groups)
    assert len(set(alerts)) == len(alerts)


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_says_how_bad_it_is_what_happened_the_value_and_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"critical", "warning", "info", "none"}
    assert 10 < len(re.sub(r"\{\{.*?\}\}", "x", rule["annotations"]["summary"])) < 90
    assert "$value" in rule["annotations"]["description"]
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{alert}.md"


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_a_runbook_says_what_it_means_how_to_look_and_what_to_do(alert: str) -> None:
    page = (ROOT / "docs" / "runbooks" / f"{alert}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {alert}\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == ["What it means", "Look", "Do"]


def test_no_runbook_is_for_an_alert_that_is_gone() -> None:
    assert {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")} == set(ALERTS)


@pytest.mark.parametrize("alert", sorted(set(ALERTS) - {"Watchdog"}))
def test_promtool_sees_an_alert_both_fire_and_be_silent(alert: str) -> None:
    outcomes = {
        bool(test["exp_alerts"])
        for case in CASES
        for test in case.get("alert_rule_test", [])
        if test["alertname"] == alert
    }
    assert outcomes == {True, False}


def test_the_table_of_alerts_names_each_with_its_severity() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \|", TABLE, re.MULTILINE)
    assert sorted(rows) == sorted((name, name, rule["labels"]["severity"]) for name, rule in ALERTS.items())


def test_alerts_do_not_ask_for_raw_names() -> None:
    for rule in ALERTS.values():
        assert "claude_code:dialect" not in rule["expr"]
        assert not re.search(r"_(cost_usage|token_usage|session_count)", rule["expr"])
