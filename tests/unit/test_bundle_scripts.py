"""The telemetry hooks as Claude Code starts them: a copy of the bundle is a project's .claude."""

import json
import os
import pwd
import queue
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from utils.meter.contract import CLIENT_EVENTS, EVENTS

BUNDLE = Path(__file__).parents[2] / "files/claude"
TELEMETRY = ["post_tool_use.py", "notification.py", "prometheus_sender.py"]
REGISTERED = json.loads((BUNDLE / "settings.json").read_text())["hooks"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(BUNDLE, tmp_path / "shop/.claude")
    return tmp_path / "shop"


def run(project: Path, command: str, data: bytes, **more: str) -> subprocess.CompletedProcess[bytes]:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(project.parent),
        "CLAUDE_PROJECT_DIR": str(project),
        **more,
    }
    return subprocess.run(
        ["/bin/sh", "-c", command],
        input=data,
        capture_output=True,
        env=environ,
        cwd=project,
        timeout=30,
        check=False,
    )


def command_of(script: str) -> str:
    return f'python3 -S "$CLAUDE_PROJECT_DIR/.claude/hooks/{script}"'


def journal_of(project: Path) -> list[dict[str, object]]:
    state = project.parent / ".local/state/claude-code-observability"
    path = state / f"{os.geteuid()}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_every_registered_command_is_the_one_of_its_script_and_gives_up_soon() -> None:
    commands = {
        event: hook["command"]
        for event, groups in REGISTERED.items()
        for group in groups
        for hook in group["hooks"]
    }
    assert commands.pop("PreToolUse") == command_of("pre_tool_use.py")
    assert commands.pop("UserPromptSubmit") == command_of("pre_tool_use.py")
    assert commands.pop("PostToolUse") == command_of("post_tool_use.py")
    assert commands.pop("PostToolUseFailure") == command_of("post_tool_use.py")
    assert commands.pop("Notification") == command_of("notification.py")
    assert set(commands.values()) == {command_of("prometheus_sender.py")}
    timeouts = [
        hook["timeout"] for groups in REGISTERED.values() for group in groups for hook in group["hooks"]
    ]
    assert max(timeouts) <= 10


def test_the_guard_sees_every_tool_and_prompt_and_its_failure_blocks() -> None:
    for event in ("PreToolUse", "UserPromptSubmit"):
        (group,) = REGISTERED[event]
        assert group.get("matcher", "*") == "*"
        assert [hook["onFailure"] for hook in group["hooks"]] == ["block"]


def test_every_event_the_client_knows_is_registered_or_its_absence_explained() -> None:
    page = (Path(__file__).parents[2] / "docs/hooks.md").read_text()
    section = page.split("## Not registered, and why")[1].split("\n## ")[0]
    explained = {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")}
    assert set(REGISTERED) | explained == set(CLIENT_EVENTS)
    assert set(REGISTERED) & explained == set()
    assert set(REGISTERED) <= set(EVENTS)


@pytest.mark.parametrize("event", sorted(set(REGISTERED) - {"PreToolUse"}))
def test_each_telemetry_event_is_one_line_of_the_journal_and_silence(project: Path, event: str) -> None:
    (group,) = REGISTERED[event]
    (hook,) = group["hooks"]
    hook_input = {"hook_event_name": event, "session_id": "s1", "cwd": "/elsewhere", "prompt": "secret"}
    result = run(project, hook["command"], json.dumps(hook_input).encode())
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    _, line = journal_of(project)
    assert isinstance(line.pop("t"), float)
    assert line == {"e": event, "s": "s1", "p": "shop"}


@pytest.mark.parametrize(
    ("event", "result", "size"),
    [("PostToolUse", {"tool_response": {"stdout": ""}}, "0"), ("PostToolUseFailure", {"error": "no"}, "1k")],
)
def test_a_finished_call_is_journalled_with_its_duration_and_the_classes_of_its_sizes(
    project: Path, event: str, result: dict[str, object], size: str
) -> None:
    call = {"tool_name": "Bash", "tool_use_id": "toolu_1", "tool_input": {"command": "x" * 2000}}
    hook_input = {"hook_event_name": event, "session_id": "s1", "duration_ms": 12, **call, **result}
    run(project, command_of("post_tool_use.py"), json.dumps(hook_input).encode())
    _, line = journal_of(project)
    line.pop("t")
    named = {"e": event, "s": "s1", "p": "shop", "k": "Bash", "i": "toolu_1"}
    assert line == {**named, "d": 12, "n": "10k", "o": size}


@pytest.mark.parametrize("script", TELEMETRY)
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"hook_event_name": "Stop"}',
        b'{"session_id": "s1"}',
        b'{"hook_event_name": 1, "session_id": "s1"}',
        b'{"hook_event_name": "Stop", "session_id": "s1"} x',
        b"[" * 100_000,
    ],
)
def test_malformed_input_leaves_the_journal_untouched_and_exits_0(
    project: Path, script: str, data: bytes
) -> None:
    result = run(project, command_of(script), data)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert journal_of(project) == []


@pytest.mark.parametrize("script", TELEMETRY)
def test_a_journal_that_cannot_be_written_stops_nobody(project: Path, script: str) -> None:
    (project.parent / ".local").write_text("in the way")
    result = run(project, command_of(script), b'{"hook_event_name": "Stop", "session_id": "s1"}')
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


@pytest.mark.parametrize("script", TELEMETRY)
def test_a_telemetry_hook_imports_nothing_that_costs(project: Path, script: str) -> None:
    allowed = {"__future__", "fcntl", "_json", "utils", "time", "os", "sys", "stat"}
    result = run(
        project,
        command_of(script).replace("python3 -S", "python3 -I -S -X importtime"),
        b'{"hook_event_name": "Stop", "session_id": "s1"}',
    )
    start = run(project, "python3 -I -S -X importtime -c pass", b"")
    imported, before = (
        {line.rpartition(b"|")[2].strip().decode() for line in output.splitlines() if b"|" in line}
        for output in (result.stderr, start.stderr)
    )
    new = {name.partition(".")[0] for name in imported - before}
    cheap = {"abc", "_abc", "posixpath", "genericpath", "_collections_abc", "_stat"}  # what os itself brings
    assert new - cheap <= allowed


def test_a_canary_is_one_line_of_its_own_kind(project: Path) -> None:
    result = run(project, command_of("prometheus_sender.py") + " --canary", b"")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert journal_of(project)[1]["e"] == "Canary"


def test_a_canary_that_cannot_be_written_says_so(project: Path) -> None:
    (project.parent / ".local").write_text("in the way")
    result = run(project, command_of("prometheus_sender.py") + " --canary", b"")
    assert result.returncode == 1
    assert result.stderr.startswith(b"the journal in ")
    assert b"cannot be written" in result.stderr


def guard_input(command: str) -> bytes:
    call = {
        "hook_event_name": "PreToolUse",
        "session_id": "s1",
        "tool_use_id": "toolu_1",
        "tool_name": "Bash",
    }
    return json.dumps({**call, "cwd": "/elsewhere", "tool_input": {"command": command}}).encode()


def test_the_copied_guard_blocks_counts_and_keeps_a_trail(project: Path) -> None:
    command = REGISTERED["PreToolUse"][0]["hooks"][0]["command"]
    allowed = run(project, command, guard_input("ls"))
    assert (allowed.returncode, allowed.stdout, allowed.stderr) == (0, b"", b"")
    refused = run(project, command, guard_input("rm -rf /"))
    assert (refused.returncode, refused.stdout) == (2, b"")
    _, first, second = journal_of(project)
    assert "r" not in first
    assert second["r"] == "rm_rf"
    trail = project.parent / ".local/state/claude-code-observability/audit.jsonl"
    assert [json.loads(line)["subject"] for line in trail.read_text().splitlines()] == ["rm -rf /"]


def test_a_trial_of_the_guard_decides_and_leaves_no_trace(project: Path) -> None:
    command = REGISTERED["PreToolUse"][0]["hooks"][0]["command"] + " --trial"
    assert run(project, command, guard_input("ls")).returncode == 0
    assert run(project, command, guard_input("rm -rf /")).returncode == 2
    assert not (project.parent / ".local").exists()


def test_the_bundle_denies_nothing_that_the_guard_would_then_never_count() -> None:
    assert set(json.loads((BUNDLE / "settings.json").read_text())) == {"hooks"}


class Gateway(BaseHTTPRequestHandler):
    """A Pushgateway that answers when it is told to."""

    bodies: "queue.Queue[tuple[str, bytes]]"
    may_answer: threading.Event

    def do_PUT(self) -> None:
        self.bodies.put((self.path, self.rfile.read(int(self.headers["content-length"]))))
        self.may_answer.wait(timeout=30)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the library's name
        """Stay silent."""


@pytest.mark.parametrize("told_by", ["file", "environment"])
def test_a_copied_bundle_brings_its_count_to_the_pushgateway_and_waits_for_nobody(
    project: Path, told_by: str
) -> None:
    Gateway.bodies, Gateway.may_answer = queue.Queue(), threading.Event()
    server = HTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    environ = {}
    if told_by == "file":
        (project / ".claude/hooks/config.json").write_text(
            json.dumps({"instance": "laptop", "pushgateway": {"url": url}, "labels": {"team": "shop"}})
        )
    else:
        environ = {
            "PROMETHEUS_PUSH_GATEWAY": f"127.0.0.1:{server.server_port}",
            "CLAUDE_OBSERVABILITY_INSTANCE": "laptop",
            "CLAUDE_OBSERVABILITY_LABELS": "team=shop",
        }
    try:
        for event in ("UserPromptSubmit", "Stop"):
            data = json.dumps({"hook_event_name": event, "session_id": "s1"}).encode()
            result = run(project, command_of("prometheus_sender.py"), data, **environ)
            assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
        path, body = Gateway.bodies.get(timeout=30)  # the hook is back, and the gateway has not answered yet
        me = pwd.getpwuid(os.geteuid()).pw_name
        assert path == f"/metrics/job/claude_code/instance/laptop/user/{me}"
        counted = [
            line for line in body.decode().splitlines() if line.startswith("claude_code_hook_events_total{")
        ]
        assert sum(float(line.split()[-1]) for line in counted) == 2
        assert all('team="shop"' in line for line in counted)
    finally:
        Gateway.may_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()
