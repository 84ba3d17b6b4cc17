"""The text that Prometheus and the Pushgateway read: the text format 0.0.4, and OpenMetrics 1.0."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .series import Family, Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPENMETRICS_END = "# EOF\n"


def text(families: Iterable[Family], *, openmetrics: bool = False) -> str:
    """Return `families`; in OpenMetrics the caller adds `OPENMETRICS_END` when nothing more follows."""
    return "".join(
        head(family.name, family.type, family.help, openmetrics=openmetrics) + lines(family.samples)
        for family in families
        if family.samples
    )


def head(name: str, kind: str, text: str, *, openmetrics: bool) -> str:
    """Return the lines that say what the metric `name` is; OpenMetrics names a counter without ``_total``."""
    if openmetrics and kind == "counter":
        name = name.removesuffix("_total")
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def lines(samples: Iterable[Sample]) -> str:
    """Return one line for each sample."""
    return "".join(
        [
            f"{name}{{{_between(labels)}}} {number(value)}\n" if labels else f"{name} {number(value)}\n"
            for name, labels, value in samples
        ]
    )


def number(value: float) -> str:
    """Return `value` as Prometheus reads it, without loss."""
    return str(int(value)) if isinstance(value, int) or value.is_integer() else repr(value)


def _between(labels: Mapping[str, str]) -> str:
    return ",".join([f'{name}="{_escape(value)}"' for name, value in labels.items()])


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
