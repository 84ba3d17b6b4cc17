"""The text that Prometheus and the Pushgateway read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .series import Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def text(families: Iterable[Family]) -> str:
    """Return `families` in the text format, version 0.0.4."""
    lines: list[str] = []
    for family in families:
        if not family.samples:
            continue
        lines.append(f"# HELP {family.name} {_escape_help(family.help)}")
        lines.append(f"# TYPE {family.name} {family.type}")
        lines.extend(
            f"{name}{{{labelled(labels)}}} {number(value)}" if labels else f"{name} {number(value)}"
            for name, labels, value in family.samples
        )
    return "\n".join(lines) + "\n" if lines else ""


def labelled(labels: dict[str, str]) -> str:
    """Return `labels` as they stand between the braces."""
    return ",".join([f'{name}="{_escape(value)}"' for name, value in labels.items()])


def number(value: float) -> str:
    """Return `value` as Prometheus writes it, without loss."""
    return str(int(value)) if isinstance(value, int) or value.is_integer() else repr(value)


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _escape_help(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")
