"""Rules ask for nothing that does not exist, and nothing is recorded in vain."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.series import GROUPS, RECORDED, known, names

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "rule", [rule for group in GROUPS for rule in group["rules"]], ids=lambda r: r.get("alert") or r["record"]
)
def test_a_rule_asks_for_known_series_only(rule: dict[str, Any]) -> None:
    if rule.get("record") in {"claude_code:dialect", "claude_code:counter", "claude_code:series"}:
        return
    assert {name for name in names(rule["expr"]) if not known(name)} == set()


def test_what_is_recorded_is_used() -> None:
    boards = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "files" / "dashboards").glob("*.json")
    )
    asked = boards + "".join(rule["expr"] for group in GROUPS for rule in group["rules"])
    unused = {name for name in RECORDED if not re.search(rf"{re.escape(name)}(?![\w:])", asked)}
    assert {name for name in unused if ":" in name} == set()
