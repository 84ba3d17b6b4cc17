"""The exporter's own check of its configuration, asked on the controller before a host is changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCES = Path(__file__).resolve().parents[2] / "files" / "exporter"


def exporter_config_problem(values: dict[str, Any]) -> str:
    """Return the sentence by which the exporter would refuse `values` as its exporter.json, or nothing."""
    if str(SOURCES) not in sys.path:
        sys.path.append(str(SOURCES))
    from claude_code_exporter.config import ConfigError, parse

    try:
        parse(values)
    except ConfigError as error:
        return str(error)
    return ""


class FilterModule:
    """The filters of this file, by the names that templates use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return name → function."""
        return {"exporter_config_problem": exporter_config_problem}
