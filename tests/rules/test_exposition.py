"""What a real exporter serves is read by Prometheus and its checker without complaint."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
import yaml

from tests.rules.conftest import Answers
from tests.support.exporter import UID, Exporter, cost, free_port, header, line, wait_for
from tests.support.tools import tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


NAMES = ('a"b', "a\nb", "a\\", "x" * 3000, "\ud800", "\x1b[31m")
HOSTILE = (
    *(line("Stop", f"h{number}", p=name) for number, name in enumerate(NAMES)),
    line("Stop", p="x" * 10_000),
    b'{"t": 1, "e": "Stop", "p": "\xff\xfe"}\n',
    *(line("PostToolUse", k=f'Tool"{number}', i=f"u{number}") for number in range(1000)),
)


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Exporter]:
    """Start an exporter that has counted something of each source, and hostile values."""
    with Exporter(tmp_path, labels={"team": 'the "A" team'}) as exporter:
        calls = [line(event, k="Bash", i="t", d=5) for event in ("PreToolUse", "PostToolUse")]
        work = [header(), line("SessionStart"), line("UserPromptSubmit"), *calls, *HOSTILE]
        (exporter.journals / f"{UID}.jsonl").write_bytes(b"".join(work))
        assert exporter.post("/v1/metrics", cost(0.5))[0] == 200
        wait_for(lambda: exporter.total("claude_code_spend_usd_total", project="shop"), "the cost")
        wait_for(lambda: exporter.total("claude_code_tool_usage_total", tool="other") == 1000, "the tools")
        yield exporter


def test_promtool_has_nothing_to_say_about_the_metrics(exporter: Exporter) -> None:
    text = exporter.get("/metrics")[2]
    assert b"claude_code_spend_usd_total{" in text
    assert exporter.total("claude_code_hook_events_total", event="Stop", project="other") == 6
    assert exporter.total("claude_code_exporter_rejected_total", reason="line_too_long") == 1
    assert exporter.total("claude_code_exporter_rejected_total", reason="json") == 1
    assert text.count(b'outcome="success"') == 2
    check = [tool("promtool"), "check", "metrics"]
    done = subprocess.run(check, input=text, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_prometheus_takes_the_metrics_in_openmetrics(exporter: Exporter, tmp_path: Path) -> None:
    port, config = free_port(), tmp_path / "prometheus.yml"
    job = {"job_name": "claude_code", "static_configs": [{"targets": [f"127.0.0.1:{exporter.port}"]}]}
    config.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}))
    listen = f"--web.listen-address=127.0.0.1:{port}"
    storage = f"--storage.tsdb.path={tmp_path}/data"
    arguments = [f"--config.file={config}", storage, listen, "--log.level=error"]
    process = subprocess.Popen([tool("prometheus"), *arguments])
    answers = Answers(f"http://127.0.0.1:{port}")
    try:
        answers.wait("claude_code_spend_usd_total", lambda value: value == 0.5)
        assert answers.now("sum(up)") == {(): 1}
        # Only OpenMetrics calls a counter's family by a name without `_total`.
        (told,) = answers.get("targets/metadata", metric="claude_code_spend_usd")
        assert (told["type"], told["help"]) == (
            "counter",
            "Cost in US dollars, as Claude Code's metric reports it.",
        )
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_a_real_pushgateway_has_all_of_it_until_the_host_is_taken_out(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [tool("prometheus-pushgateway"), f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    )

    def groups() -> list[dict[str, Any]]:
        with urlopen(f"http://127.0.0.1:{port}/api/v1/metrics", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]
        return found

    def pushed() -> bool:
        try:
            return any("claude_code_prompts_total" in group for group in groups())
        except OSError:  # it does not listen yet
            return False

    settings = {"url": f"http://127.0.0.1:{port}", "interval": 1}
    try:
        with Exporter(tmp_path, transport="pushgateway", pushgateway=settings) as exporter:
            work = [header(), line("UserPromptSubmit"), *HOSTILE]
            (exporter.journals / f"{UID}.jsonl").write_bytes(b"".join(work))
            wait_for(pushed, "a push that the Pushgateway takes", seconds=60)
            (group,) = groups()
            assert group["labels"] == {"job": "claude_code", "instance": "dev-1"}
            assert group["last_push_successful"]
            assert exporter.stop() == 0
            done = exporter.run("--delete-group")
            assert (done.returncode, done.stderr) == (0, "")
            assert groups() == []
    finally:
        process.terminate()
        process.wait(timeout=30)
