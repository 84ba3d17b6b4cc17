"""Which series exist: the contract's, recorded ones, and those that Prometheus and its fellows bring."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from utils.meter.contract import CONTRACT

RULES_DIR = Path(__file__).resolve().parents[2] / "files" / "rules"
GROUPS: list[dict[str, Any]] = [
    group
    for path in sorted(RULES_DIR.glob("*.yml"))
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
]
RECORDED = {rule["record"] for group in GROUPS for rule in group["rules"] if "record" in rule}
OTHERS = {
    "ALERTS",
    "up",
    "push_time_seconds",
    "push_failure_time_seconds",
    "claude_code_team_budget_usd",
    "claude_code_inventory_info",
}
_PREFIXES = ("prometheus_", "alertmanager_")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")


def names(expr: str) -> set[str]:
    """Return the names of the series that a PromQL expression asks for by name."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expr)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "{}", _GROUPING.sub(" ", bare))
    found = re.findall(r"([a-zA-Z_:][\w:]*)(?![\w:]*\s*\()", bare)
    return {name for name in found if "_" in name or ":" in name or name in OTHERS}


def known(name: str) -> bool:
    """Return whether anything of ours, or beside us, brings a series of this name."""
    if name in CONTRACT or name in RECORDED or name in OTHERS or name.startswith(_PREFIXES):
        return True
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return base in CONTRACT and CONTRACT[base].type == "histogram"
