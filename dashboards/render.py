"""From the builders' models to the files that Grafana loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import activity, cost, fleet, performance, pipeline, security

TARGET = Path(__file__).resolve().parent.parent / "files" / "dashboards"
BOARDS = {
    "fleet": fleet.build,
    "cost": cost.build,
    "activity": activity.build,
    "performance": performance.build,
    "security": security.build,
    "pipeline": pipeline.build,
}

# Defaults of later versions, written by the builders: Grafana 9.4 does not know them.
_NEWER = frozenset(
    {
        "allowCustomValue",
        "auto",
        "auto_count",
        "auto_min",
        "cellHeight",
        "maxVizHeight",
        "namePlacement",
        "perPage",
        "percentChangeColorMode",
        "repeatDirection",
        "selectionMode",
        "showPercentChange",
        "sizing",
        "wideLayout",
    }
)


def _tidy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items() if key not in _NEWER}
    return [_tidy(item) for item in value] if isinstance(value, list) else value


def rendered() -> dict[str, str]:
    """Return file name to content, for every dashboard."""
    files = {}
    for name, build in BOARDS.items():
        house = _tidy(json.loads(json.dumps(build(), cls=JSONEncoder)))
        for number, panel in enumerate(house["panels"], start=1):
            panel["id"] = number
            if panel["type"] == "bargauge":
                del panel["options"]["legend"]  # 10.3's, too, but a name that other panels do have
        files[f"{name}.json"] = json.dumps(house, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return files


def stale(target: Path) -> list[str]:
    """Return the names of files in `target` that are not as rendered, missing and surplus ones included."""
    there = {path.name: path.read_text(encoding="utf-8") for path in target.glob("*.json")}
    now = rendered()
    return sorted(name for name in there.keys() | now.keys() if there.get(name) != now.get(name))
