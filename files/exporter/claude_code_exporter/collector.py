"""The text that Prometheus reads: the ledger's totals, and behind them what the exporter says of itself."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from meter import __version__
from meter.contract import CONTRACT
from meter.ledger import Family, Sample
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from claude_code_exporter.posture import Posture


class Collector:
    """A prometheus-client collector over families."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Yield each family as prometheus-client's Metric, whose name has no `_total`."""
        for family in self._families:
            name = family.name.removesuffix("_total") if family.type == "counter" else family.name
            metric = Metric(name, family.help, family.type)
            for sample in family.samples:
                metric.add_sample(sample.name, dict(sample.labels), sample.value)
            yield metric


def render(
    totals: Callable[[bool], list[bytes]], own: Iterable[Family], accept: str = ""
) -> tuple[list[bytes], str]:
    """Write the ledger's totals and the exporter's own families as an Accept header asks.

    `totals` renders the ledger, told whether in OpenMetrics, and without that format's end. Returns the body
    in pieces, and its content type.
    """
    encode: Callable[[CollectorRegistry], bytes]
    encode, content_type = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(own))
    pieces = totals(content_type.startswith("application/openmetrics-text"))
    return [*pieces, encode(registry)], content_type


def own_families(
    *,
    lag: float,
    ledger_bytes: int,
    pushes: tuple[float, int] | None,
    posture: Posture | None,
    certificates: Mapping[str, float],
    constant_labels: Mapping[str, str],
) -> list[Family]:
    """Make the families that tell of the exporter itself, and of the host's test of its guard.

    `lag` is in seconds; `pushes` is the time of the last push that arrived (0 for none) and the number
    of those that did not, or None for an exporter that is scraped; `posture` is None where
    there are no hooks; `certificates` are the ends of those that the host has, in seconds since the epoch.
    """
    values: list[tuple[str, dict[str, str], float]] = [
        ("claude_code_exporter_journal_lag_seconds", {}, lag),
        ("claude_code_exporter_ledger_bytes", {}, ledger_bytes),
        (
            "claude_code_exporter_build_info",
            {"version": __version__, "python": platform.python_version()},
            1,
        ),
    ]
    if pushes:
        values.append(("claude_code_exporter_last_push_timestamp_seconds", {}, pushes[0]))
        values.append(("claude_code_exporter_push_failures_total", {}, pushes[1]))
    if posture:
        values.append(
            ("claude_code_bundle_info", {"version": posture.version, "hash": posture.digest}, 1),
        )
        values.append(("claude_code_guard_effective", {}, not posture.fault))
    values.extend(
        ("claude_code_certificate_expiry_timestamp_seconds", {"certificate": name}, end)
        for name, end in certificates.items()
    )
    return [_one(name, {**constant_labels, **labels}, value) for name, labels, value in values]


def _one(name: str, labels: dict[str, str], value: float) -> Family:
    metric = CONTRACT[name]
    return Family(name, metric.type, metric.help, [Sample(name, labels, value)])
