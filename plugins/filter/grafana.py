"""Grafana's settings as the text of grafana.ini."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def grafana_ini(settings: Mapping[str, Any]) -> str:
    """Return sections → names → values as an ini file; the empty section comes first, without a heading.

    True and false are written as Grafana reads them. Raises ValueError for what an ini file can't say.
    """
    parts = []
    for section in sorted(settings):
        values = settings[section]
        if (section and not _NAME.fullmatch(str(section))) or not hasattr(values, "items"):
            msg = f"{section!r} is not a section: write section, then name: value below it."
            raise ValueError(msg)
        lines = [f"[{section}]"] if section else []
        lines += [
            f"{_name(section, name)} = {_value(section, name, value)}" for name, value in values.items()
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _name(section: str, name: object) -> str:
    if not _NAME.fullmatch(str(name)):
        msg = f"{name!r} in section {section} is not the name of a setting."
        raise ValueError(msg)
    return str(name)


def _value(section: str, name: object, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if not isinstance(value, str | int | float) or re.search(r"[\r\n]", str(value)):
        msg = f"{name} in section {section} must be one line of text, a number, true or false."
        raise ValueError(msg)
    text = str(value)
    # Grafana's parser takes # and ; for the start of a comment unless the value is quoted.
    return f'"""{text}"""' if re.search(r"[#;]", text) else text


def grafana_ini_fault(settings: Mapping[str, Any]) -> str:
    """Return one sentence about the first setting that `grafana_ini` refuses, or an empty text."""
    try:
        grafana_ini(settings)
    except ValueError as error:
        return str(error)
    return ""


class FilterModule:
    """The filters of this file, by the names that templates use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return name → function."""
        return {"grafana_ini": grafana_ini, "grafana_ini_fault": grafana_ini_fault}
