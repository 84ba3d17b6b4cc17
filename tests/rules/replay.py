"""A fleet of four hosts, replayed from one recorded session: one with the exporter, and one a dialect."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from utils.meter import exposition
from utils.meter.contract import CONTRACT
from utils.meter.ledger import Options

from tests.unit.meter_world import (
    NOW,
    SESSION,
    World,
    captured,
    captured_lines,
    event,
    line,
    logs,
    metrics,
    point,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEAM, CENTER = "platform", "cc42"
COST = 0.07878
"""US dollars of the recorded session."""
EXPORTER, NATIVE, OTLP, COLLECTOR = "dev-exporter", "dev-native", "dev-otlp", "dev-collector"
_UNITS = {"USD": "USD", "tokens": "tokens", "s": "seconds"}


def _again(value: Any, mark: str) -> Any:
    """Return what another session like the recorded one would have sent."""
    text = json.dumps(value).replace(SESSION, SESSION[:-1] + mark)
    return json.loads(re.sub(r"\b(req|toolu)_", rf"\1_{mark}", text))


def _more() -> list[bytes]:
    """Return journal lines of what the recorded session does not have."""
    other = "live-session"
    blocked = {"k": "Bash", "i": "b1", "r": "rm_rf"}
    return [
        line("SessionStart", session=other, time=NOW + 30, x="startup"),
        line("UserPromptSubmit", session=other, time=NOW + 31),
        line("PermissionRequest", session=other, time=NOW + 32, k="Bash", i="t1"),
        line("PreToolUse", session=other, time=NOW + 32, k="Bash", i="t1"),
        line("PostToolUse", session=other, time=NOW + 40, k="Bash", i="t1", d=8000),
        line("PreToolUse", session=other, time=NOW + 41, **blocked),
        line("PreToolUse", session=other, time=NOW + 42, k="Read", i="b2", r="guard_error"),
        line("PreToolUse", session=other, time=NOW + 42, k="Read", i="b3", a="env_file"),
        line("Notification", session=other, time=NOW + 43, x="idle_prompt"),
        line("PreCompact", session=other, time=NOW + 44, x="auto"),
        line("Canary", session="canary", time=NOW + 45),
        b"not a line of a journal\n",
    ]


def _trouble() -> dict[str, Any]:
    """Return the events of an API that fails."""
    model = "claude-opus-5-5"
    return logs(
        [
            event("api_error", model=model, status_code=529, attempt=11, duration_ms=9000, request_id="e1"),
            event("api_retries_exhausted", model=model, status_code=529, total_attempts=11, request_id="e1"),
        ]
    )


class Exporter:
    """The host with the exporter: a real ledger, fed step by step."""

    def __init__(self, directory: Path) -> None:
        options = Options(constant_labels={"team": TEAM, "cost_center": CENTER})
        self.world = World(directory, options)
        self.now = NOW + 60
        self.world.write(*captured_lines()[:2])

    def step(self, number: int) -> None:
        """Work for a while: the recorded session, then another like it and what it lacks."""
        if number == 1:
            self.world.write(*captured_lines()[2:])
            self.world.export(captured("metrics"))
            self.world.export(captured("logs"))
            self.world.export(metrics("claude_code.commit.count", [point(1)]))
            self.world.export(metrics("claude_code.pull_request.count", [point(1)]))
        else:
            lines = [
                json.dumps(_again(json.loads(text), "b")).encode() + b"\n" for text in captured_lines()[1:]
            ]
            self.world.write(*lines, *_more())
            self.world.export(_again(captured("metrics"), "b"))
            self.world.export(_again(captured("logs"), "b"))
            self.world.export(_trouble())
        self.world.ledger.tick(now=self.now, boot_id="boot")

    def text(self, pushed: float) -> str:
        """Return what a Pushgateway would show of this host; pushed: seconds since the epoch."""
        families = self.world.ledger.families(now=self.now)
        there = {family.name for family in families if family.samples}
        missing = [
            f"{name}{{{_gauge(metric.labels)}}} 1\n"
            for name, metric in CONTRACT.items()
            if metric.source == "exporter" and name not in there
        ]
        return (
            exposition.text(families)
            + "".join(missing)
            + f'push_time_seconds{{job="claude_code",instance="{EXPORTER}"}} {pushed}\n'
            + f'push_failure_time_seconds{{job="claude_code",instance="{EXPORTER}"}} 0\n'
        )


def _gauge(labels: tuple[str, ...]) -> str:
    pairs = {"team": TEAM, "cost_center": CENTER} | dict.fromkeys(labels, "1.0.0")
    return ",".join(f'{key}="{value}"' for key, value in pairs.items())


def _native(name: str, _unit: str) -> str:
    return name if name.endswith("_total") else f"{name}_total"


def _otlp(name: str, unit: str) -> str:
    return "_".join([name.removesuffix("_total"), *([unit] if unit else []), "total"])


def _collector(name: str, unit: str) -> str:
    return f"claude_code_{_otlp(name, unit)}"


DIALECTS: dict[str, Callable[[str, str], str]] = {NATIVE: _native, OTLP: _otlp, COLLECTOR: _collector}


def dialect(host: str) -> str:
    """Return the recorded session's metrics, a commit and a pull request, as `host`'s dialect has them."""
    payloads = [
        captured("metrics"),
        metrics("claude_code.commit.count", [point(1)]),
        metrics("claude_code.pull_request.count", [point(1)]),
    ]
    lines = []
    for payload in payloads:
        for metric in payload["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]:
            name = DIALECTS[host](metric["name"].replace(".", "_"), _UNITS.get(metric.get("unit", ""), ""))
            for sample in metric["sum"]["dataPoints"]:
                labels = {"team": TEAM, "cost_center": CENTER, "user_id": f"user-of-{host}"}
                labels |= {} if host == NATIVE else {"host_name": host}
                for attribute in sample["attributes"]:
                    labels[attribute["key"].replace(".", "_")] = str(next(iter(attribute["value"].values())))
                labels["user_id"] = f"user-of-{host}"
                pairs = ",".join(f'{key}="{value}"' for key, value in labels.items())
                lines.append(f"{name}{{{pairs}}} {sample.get('asDouble', sample.get('asInt'))}\n")
    return "".join(sorted(lines))
