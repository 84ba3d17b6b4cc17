"""The role claude_telemetry on this very machine, into a directory of the test's own."""

from __future__ import annotations

import getpass
import grp
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: claude_telemetry}
"""
SWITCHES = [
    "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA",
    "OTEL_LOG_ASSISTANT_RESPONSES",
    "OTEL_LOG_RAW_API_BODIES",
    "OTEL_LOG_TOOL_CONTENT",
    "OTEL_LOG_TOOL_DETAILS",
    "OTEL_LOG_USER_PROMPTS",
]


def play(directory: Path, *arguments: str, **variables: object) -> tuple[int, str]:
    """Run the role with `variables`; return its exit status and its output with single blanks."""
    playbook = directory / "play.yml"
    playbook.write_text(PLAY)
    given = {
        "claude_telemetry_settings_dir": str(directory / "managed-settings.d"),
        "claude_telemetry_profile_path": str(directory / "profile.sh"),
        "claude_telemetry_owner": getpass.getuser(),
        "claude_telemetry_group": grp.getgrgid(os.getegid()).gr_name,
        "claude_telemetry_python": sys.executable,
        **variables,
    }
    done = subprocess.run(
        [
            "ansible-playbook",
            *("-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}"),
            *("-e", json.dumps(given), *arguments, str(playbook)),
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_ROLES_PATH": str(ROOT / "roles")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def environment(directory: Path) -> dict[str, str]:
    path = directory / "managed-settings.d/40-observability-telemetry.json"
    settings: dict[str, dict[str, str]] = json.loads(path.read_text())
    assert set(settings) == {"env"}
    return settings["env"]


def test_by_default_everything_goes_to_the_exporter_and_content_stays(tmp_path: Path) -> None:
    assert "changed=1 " in play(tmp_path, "--check")[1]
    assert not (tmp_path / "managed-settings.d").exists()
    assert play(tmp_path, claude_telemetry_resource_attributes={"team": "R&D", "cost_center": 4711})[0] == 0
    env = environment(tmp_path)
    assert {env[switch] for switch in SWITCHES} == {"0"}
    assert env["OTEL_TRACES_EXPORTER"] == "none"
    assert env["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] == "http://127.0.0.1:4318/v1/metrics"
    assert env["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"] == "http://127.0.0.1:4318/v1/logs"
    assert env["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/json"
    assert env["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"] == "delta"
    assert env["OTEL_RESOURCE_ATTRIBUTES"] == "cost_center=4711,team=R%26D"
    assert not (tmp_path / "profile.sh").exists()
    again = play(tmp_path, claude_telemetry_resource_attributes={"team": "R&D", "cost_center": 4711})
    assert "changed=0 " in again[1]


def test_a_collector_of_ones_own_gets_what_was_switched_on_and_its_headers_are_not_shown(
    tmp_path: Path,
) -> None:
    status, output = play(
        tmp_path,
        "-vv",
        "--diff",
        claude_telemetry_mode="otlp",
        claude_telemetry_otlp_endpoint="https://collector.example.com:4318/",
        claude_telemetry_otlp_headers={"Authorization": "Bearer CANARY-91c2"},
        claude_telemetry_otlp_ca_file="/etc/ssl/own.pem",
        claude_telemetry_log_tool_details=True,
        claude_telemetry_profile=True,
        claude_telemetry_extra_environment={"CLAUDE_CODE_EXAMPLE": "it's"},
    )
    assert status == 0, output
    env = environment(tmp_path)
    assert env["OTEL_LOG_TOOL_DETAILS"] == "1"
    assert env["OTEL_LOG_USER_PROMPTS"] == "0"
    assert env["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/protobuf"
    assert env["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] == "https://collector.example.com:4318/v1/metrics"
    assert env["OTEL_EXPORTER_OTLP_HEADERS"] == "Authorization=Bearer%20CANARY-91c2"
    assert env["NODE_EXTRA_CA_CERTS"] == "/etc/ssl/own.pem"
    exported = subprocess.run(
        ["/bin/sh", "-c", '. "$0"; env', str(tmp_path / "profile.sh")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert {f"{name}={value}" for name, value in env.items()} <= set(exported)
    shown = output.replace(json.dumps({"Authorization": "Bearer CANARY-91c2"}), "")
    assert "CANARY-91c2" not in shown.partition("PLAY [localhost]")[2]


def test_claude_codes_own_exporter_is_asked_for_the_loopback(tmp_path: Path) -> None:
    assert play(tmp_path, claude_telemetry_mode="prometheus", claude_telemetry_prometheus_port=9500)[0] == 0
    env = environment(tmp_path)
    assert (env["OTEL_METRICS_EXPORTER"], env["OTEL_LOGS_EXPORTER"]) == ("prometheus", "none")
    assert (env["OTEL_EXPORTER_PROMETHEUS_HOST"], env["OTEL_EXPORTER_PROMETHEUS_PORT"]) == (
        "127.0.0.1",
        "9500",
    )


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        pytest.param(
            {"claude_telemetry_mode": "otlp"},
            "claude_telemetry_otlp_endpoint must be the collector's URL",
            id="no-endpoint",
        ),
        pytest.param(
            {"claude_telemetry_mode": "carrier-pigeon"},
            "value of claude_telemetry_mode must be one of: exporter, otlp, prometheus",
            id="no-such-mode",
        ),
        pytest.param(
            {"claude_telemetry_exporter_endpoint": "http://collector.example.com:4318"},
            "for a collector elsewhere set claude_telemetry_mode to otlp",
            id="exporter-elsewhere",
        ),
        pytest.param(
            {"claude_telemetry_include_session_id": False},
            "claude_telemetry_include_session_id must be true in mode exporter",
            id="no-session",
        ),
        pytest.param(
            {"claude_telemetry_extra_environment": {"OTEL_LOG_USER_PROMPTS": "1"}},
            "claude_telemetry_extra_environment sets OTEL_LOG_USER_PROMPTS, which the role sets",
            id="content-by-the-back-door",
        ),
        pytest.param(
            {"claude_telemetry_resource_attributes": {"Team": "x"}},
            "claude_telemetry_resource_attributes: 'Team' is no attribute's name",
            id="attribute",
        ),
        pytest.param(
            {"claude_telemetry_flush_timeout": "soon"},
            "argument 'claude_telemetry_flush_timeout' is of type str and we were unable to convert to int",
            id="type",
        ),
        pytest.param(
            {"claude_telemetry_mod": "otlp"},
            "claude_telemetry_mod is not a variable of role claude_telemetry: did you mean",
            id="misspelt",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_changed(
    tmp_path: Path, variables: dict[str, object], sentence: str
) -> None:
    status, output = play(tmp_path, **variables)
    assert status != 0
    assert sentence in output
    assert not (tmp_path / "managed-settings.d").exists()
