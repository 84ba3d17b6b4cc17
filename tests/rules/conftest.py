"""A real Prometheus with our rules, filled by replay: yesterdays by blocks, today by scraping."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from tests.rules import replay
from tests.support.tools import tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
DAY = 86_400
PATIENCE = 40.0
"""Seconds that Prometheus has for what takes it about five."""


@dataclass
class Answers:
    """The Prometheus under test."""

    url: str
    texts: dict[str, Callable[[], str]] = field(default_factory=dict)

    def get(self, path: str, **arguments: object) -> Any:
        """Return `data` of an answer of the API; a query that Prometheus refuses is an HTTPError."""
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(arguments, doseq=True)}", timeout=20) as answer:
            return json.load(answer)["data"]

    def now(self, expr: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return the answer to an instant query: labels to value."""
        return {
            tuple(sorted(sample["metric"].items())): float(sample["value"][1])
            for sample in self.get("query", query=expr)["result"]
        }

    def wait(self, expr: str, accept: Callable[[float], bool]) -> None:
        """Wait until the first value of `expr` is accepted; fail after `PATIENCE`."""
        end = time.monotonic() + PATIENCE
        seen: float | None = None
        while time.monotonic() < end:
            try:
                seen = next(iter(self.now(expr).values()), None)
            except URLError:
                seen = None
            if seen is not None and accept(seen):
                return
            time.sleep(0.2)
        pytest.fail(f"{expr} is {seen}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _serve(texts: dict[str, Callable[[], str]]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = texts[self.path.strip("/")]().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _faster_rules(directory: Path) -> None:
    """Write our rules, evaluated each second instead of each minute, and budgets as role prometheus would."""
    directory.mkdir()
    for path in (ROOT / "files" / "rules").glob("*.yml"):
        text = re.sub(r"^( +interval:) \w+$", r"\1 1s", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        (directory / path.name).write_text(text, encoding="utf-8")
    budgets = [
        {
            "record": "claude_code_team_budget_usd",
            "expr": f"vector({usd})",
            "labels": {"team": replay.TEAM, "period": period},
        }
        for period, usd in (("day", 0.1), ("month", 1000))
    ]
    content = {"groups": [{"name": "claude_code_budgets", "rules": budgets}]}
    (directory / "00-budgets.yml").write_text(yaml.safe_dump(content), encoding="utf-8")


def _past(now: float) -> str:
    """Return the last week's hours of the team, in OpenMetrics, as earlier evaluations left them."""
    name = "claude_code:team_spend_usd:increase1h"
    samples = [
        f'{name}{{team="{replay.TEAM}",cost_center="{replay.CENTER}"}} {ago} {now - ago * DAY + offset:.0f}\n'
        for ago in range(7, 0, -1)
        for offset in range(-240, 600, 60)
    ]
    return f"# TYPE {name} gauge\n{''.join(samples)}# EOF\n"


def _configuration(directory: Path, *, own: int, replayed: int) -> str:
    def job(name: str, path: str, **more: object) -> dict[str, object]:
        return {"job_name": name, "metrics_path": f"/{path}", **more}

    def at(port: int, **labels: str) -> list[dict[str, object]]:
        return [{"targets": [f"127.0.0.1:{port}"], "labels": labels}]

    jobs = [
        job("prometheus", "metrics", static_configs=at(own)),
        job(
            "claude_code",
            replay.EXPORTER,
            honor_labels=True,
            static_configs=at(replayed, instance=replay.EXPORTER),
        ),
        job("native", replay.NATIVE, static_configs=at(replayed, instance=f"{replay.NATIVE}:9464")),
        job("claude-code", replay.OTLP, static_configs=at(replayed)),
        job("collector", replay.COLLECTOR, static_configs=at(replayed, instance="collector:8889")),
    ]
    intervals = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    return yaml.safe_dump(
        {"global": intervals, "rule_files": [f"{directory}/rules/*.yml"], "scrape_configs": jobs}
    )


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """Start a Prometheus that sees the fleet of tests/rules/replay.py at work."""
    directory = tmp_path_factory.mktemp("prometheus")
    _faster_rules(directory / "rules")
    (directory / "past.txt").write_text(_past(time.time()), encoding="utf-8")
    blocks = ["tsdb", "create-blocks-from", "openmetrics", "past.txt", "data"]
    subprocess.run([tool("promtool"), *blocks], cwd=directory, check=True, capture_output=True, timeout=60)

    exporter = replay.Exporter(directory)
    working: dict[str, str] = dict.fromkeys(replay.DIALECTS, "")
    texts: dict[str, Callable[[], str]] = {replay.EXPORTER: lambda: exporter.text(time.time())}
    texts |= {host: lambda host=host: working[host] for host in replay.DIALECTS}  # type: ignore[misc]
    server = _serve(texts)
    port = _free_port()
    (directory / "prometheus.yml").write_text(
        _configuration(directory, own=port, replayed=server.server_port), encoding="utf-8"
    )
    process = subprocess.Popen(
        [
            tool("prometheus"),
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
    )
    answers = Answers(f"http://127.0.0.1:{port}")
    try:
        answers.wait('count_over_time(claude_code:counter:seen{event="Stop"}[1m])', lambda seen: seen >= 3)
        exporter.step(1)
        answers.wait("sum(claude_code_spend_usd_total)", lambda seen: seen > 0)
        answers.wait(
            "min(count_over_time(claude_code_response_time_seconds_count[1m]))", lambda seen: seen >= 3
        )
        exporter.step(2)
        working.update({host: replay.dialect(host) for host in replay.DIALECTS})
        for host in (replay.EXPORTER, *replay.DIALECTS):
            spend = f'claude_code:increase10m{{metric="spend_usd",instance="{host}"}}'
            answers.wait(f"sum(sum_over_time({spend}[1m:1s]))", lambda seen: seen > replay.COST * 0.99)
        answers.wait(
            "sum(rate(claude_code_response_time_seconds_count[1m]))"
            " and on () claude_code:team_spend_usd:usual1h"
            ' and on () ALERTS{alertname="ClaudeCodeInputRejected"}',
            lambda seen: seen > 0,
        )
        for histogram in ("permission_wait", "tool_duration", "session_duration", "hook_duration"):
            sums = f"claude_code_{histogram}_seconds_sum"  # increase() needs two of them
            answers.wait(f"min(count_over_time({sums}[1m]))", lambda seen: seen >= 3)
        yield answers
    finally:
        process.terminate()
        process.wait(timeout=30)
        server.shutdown()
