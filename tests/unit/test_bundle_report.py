"""What the slash commands answer."""

import json
import os
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from utils.views import Check, Point, blocked, meter, of_user, parse, telemetry, trail

from tests.support.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

BUNDLE = Path(__file__).parents[2] / "files/claude"
METRICS = """\
# HELP claude_code_cost_usd Cost
# TYPE claude_code_cost_usd gauge
claude_code_cost_usd{user="ada",project="shop",session_id="s1",model="opus"} 0.25
claude_code_cost_usd{user="ada",project="shop",session_id="s2",model="opus"} 9
claude_code_tokens_consumed{user="ada",session_id="s1",model="opus",type="input"} 1000
claude_code_tokens_consumed{user="ada",session_id="s1",model="opus",type="cacheRead"} 300
claude_code_spend_usd_total{user="ada",model="opus",query_source="main"} 3.5
claude_code_spend_usd_total{user="ada",model="haiku",query_source="main"} 0.5
claude_code_spend_usd_total{user="bob",model="opus",query_source="main"} 100
claude_code_tokens_total{user="ada",model="opus",query_source="main",type="output"} 2e+03
claude_code_tool_usage_total{user="ada",tool="Bash",outcome="success"} 5
claude_code_tool_usage_total{user="ada",tool="Bash",outcome="blocked"} 2
claude_code_tool_usage_total{user="ada",tool="Edit",outcome="failure"} 0
claude_code_security_blocks_total{user="ada",reason="rm_rf",tool="Bash"} 2
claude_code_exporter_journal_lag_seconds 0.5
"""


def test_samples_are_read_with_their_escapes_and_comments_passed_over() -> None:
    text = '# TYPE x gauge\nx 1\ny{a="b\\"}\\\\\\n",c=""} 2.5e-3\n\nnonsense\n'
    assert parse(text) == [Point("x", {}, 1.0), Point("y", {"a": 'b"}\\\n', "c": ""}, 0.0025)]


def test_the_meter_names_the_session_the_day_and_what_was_counted() -> None:
    text = meter(parse(METRICS), user="ada", session="s1", day={"usd": 1.5, "tokens": 12345})
    assert text.splitlines() == [
        "Claude Code, user ada",
        "  this session   $0.2500   1,300 tokens (input 1,000, output 0, cache read 300, cache written 0)",
        "  last 24 hours  $1.5000   12,345 tokens",
        "  counted here   $4.0000   2,000 tokens (input 0, output 2,000, cache read 0, cache written 0)",
        "    opus                 $3.5000",
        "    haiku                $0.5000",
        "  tools          Bash 7 (2 blocked)",
    ]


def test_a_session_without_numbers_and_a_host_without_prometheus_are_said_plainly() -> None:
    text = meter([], user="ada", session="s9", day=None)
    assert "nothing measured yet" in text
    assert "24 hours" not in text
    assert text.endswith("tools          none yet")


def test_where_users_have_no_names_everybody_is_shown_and_it_says_so() -> None:
    points = [Point("claude_code_spend_usd_total", {"user": "3f2a"}, 1.0)]
    assert of_user(points, "ada") == (points, "all users of this host")


def test_blocks_are_counted_by_reason_and_tool_with_the_latest_first() -> None:
    audit: list[dict[str, object]] = [
        {"time": 1.0, "tool": "Bash", "reason": "rm_rf", "subject": "rm -rf /", "session_id": "s1"},
        {"time": 86401.0, "tool": "Read", "reason": "env_file", "subject": ".env\n", "what": "x"},
    ]
    assert blocked(parse(METRICS), user="ada") == "Blocked by the guard, user ada\n  rm_rf        2  (Bash 2)"
    head, *lines = trail(audit).splitlines()
    assert head == "Latest of 2 in your audit trail"
    assert [line[23:] for line in lines] == ["env_file     Read   .env", "rm_rf        Bash   rm -rf /"]


def test_a_failed_check_brings_its_remedy_and_leads_the_verdict() -> None:
    good = Check("journal", good=True, found="written")
    bad = Check("numbers", good=False, found="no answer", remedy="Start it.")
    assert telemetry([good]) == "Telemetry is healthy\n  ok    journal: written"
    assert telemetry([good, bad]).splitlines() == [
        "1 of 2 checks failed",
        "  ok    journal: written",
        "  FAIL  numbers: no answer",
        "        Start it.",
    ]


class Exporter(BaseHTTPRequestHandler):
    """Answers as the exporter and as Prometheus would."""

    def do_GET(self) -> None:
        if self.path == "/metrics":
            body = METRICS.encode()
        else:
            body = json.dumps({"data": {"result": [{"value": [0, "7"]}]}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the library's name
        """Stay silent."""


@pytest.fixture
def exporter() -> "Iterator[str]":
    with serving(Exporter) as address:
        yield address


def report(tmp_path: Path, *arguments: str) -> str:
    if not (tmp_path / ".claude").exists():
        shutil.copytree(BUNDLE, tmp_path / ".claude")
    result = subprocess.run(
        ["python3", "-S", str(tmp_path / ".claude/hooks/report.py"), *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "XDG_STATE_HOME": str(tmp_path / "state")},
    )
    assert result.stderr == ""
    return result.stdout


def test_the_installed_commands_ask_exporter_and_prometheus(tmp_path: Path, exporter: str) -> None:
    (tmp_path / "hooks.json").write_text(
        json.dumps({"journal_dir": str(tmp_path), "metrics_url": exporter, "prometheus_url": exporter})
    )
    arguments = ["--session", "s1", "--config", str(tmp_path / "hooks.json")]
    answer = report(tmp_path, "meter", *arguments)
    assert "this session   $0.2500" in answer
    assert "last 24 hours  $7.0000   7 tokens" in answer
    assert "rm_rf" in report(tmp_path, "blocked", *arguments)
    health = report(tmp_path, "telemetry", *arguments)
    assert "ok    numbers: 13 series" in health
    assert "ok    journal read: 0 s behind" in health


def test_an_exporter_that_does_not_answer_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "hooks.json").write_text(
        json.dumps({"journal_dir": str(tmp_path / "none"), "metrics_url": "http://127.0.0.1:1"})
    )
    config = ["--config", str(tmp_path / "hooks.json")]
    assert report(tmp_path, "meter", *config).startswith(
        "No numbers: http://127.0.0.1:1/metrics does not answer"
    )
    health = report(tmp_path, "telemetry", *config)
    assert "FAIL  numbers: http://127.0.0.1:1/metrics does not answer" in health
    assert "systemctl status claude-code-exporter" in health
    assert "FAIL  journal: " in health


def test_a_voice_that_failed_is_among_the_checks(tmp_path: Path) -> None:
    shutil.copytree(BUNDLE, tmp_path / ".claude")
    (tmp_path / ".claude/hooks/config.json").write_text('{"notification": {"engine": "espeak-ng"}}')
    assert "ok    notifications: announced by espeak-ng" in report(tmp_path, "telemetry")
    fault = tmp_path / "state/claude-code-observability/voice.error"
    fault.write_text("espeak-ng ended with 1: no such voice\n")
    assert "FAIL  notifications: espeak-ng ended with 1: no such voice" in report(tmp_path, "telemetry")


def test_a_copied_bundle_accounts_for_the_users_own_journal(tmp_path: Path) -> None:
    assert report(tmp_path, "blocked").endswith("Your audit trail is empty.\n")
    state = tmp_path / "state/claude-code-observability"
    lines = ['{"journal": "0123456789abcdef0123456789abcdef", "v": 1}'] + [
        json.dumps({"t": 1e9 + number, "e": event, "s": "s1", "k": "Bash", "i": f"toolu_{number // 2}"})
        for number, event in enumerate(["PreToolUse", "PostToolUse"] * 3)
    ]
    (state / f"{os.geteuid()}.jsonl").write_text("\n".join(lines) + "\n")
    answer = report(tmp_path, "meter")
    assert "costs          not known here" in answer
    assert answer.endswith("  tools          Bash 3\n")


@pytest.mark.parametrize("name", ["meter", "blocked", "telemetry"])
def test_each_command_runs_the_report_of_its_name_and_may(name: str) -> None:
    text = (BUNDLE / f"commands/{name}.md").read_text()
    _, head, body = text.split("---\n")
    command = f'python3 -S "${{CLAUDE_PROJECT_DIR}}/.claude/hooks/report.py" {name}'
    assert f"allowed-tools: Bash({command}:*)" in head
    assert f"!`{command} --session ${{CLAUDE_SESSION_ID}}`" in body
