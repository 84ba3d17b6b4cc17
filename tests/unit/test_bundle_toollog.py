"""The optional log of tool calls."""

import json
import os
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest
from utils import trail
from utils.toollog import LONGEST, cleaned, record

BUNDLE = Path(__file__).parents[2] / "files/claude"
CALL = {
    "hook_event_name": "PostToolUse",
    "session_id": "s1",
    "tool_use_id": "toolu_1",
    "tool_name": "Bash",
    "cwd": "/home/dev/shop",
    "duration_ms": 12,
    "tool_input": {"command": "curl -H 'Authorization: Bearer CANARY-1' https://u:CANARY-2@example.com"},
    "tool_response": {"stdout": "ok\nAPI_KEY=CANARY-3", "interrupted": False},
}


def test_a_finished_call_is_one_line_that_only_its_user_can_read(tmp_path: Path) -> None:
    path = tmp_path / "state/tools.jsonl"
    record(str(path), CALL, now=1.5)
    record(str(path), {**CALL, "hook_event_name": "PostToolUseFailure", "error": "no such file"}, now=2)
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first == {
        "time": 1.5,
        "tool": "Bash",
        "outcome": "success",
        "duration_ms": 12,
        "session_id": "s1",
        "tool_use_id": "toolu_1",
        "cwd": "/home/dev/shop",
        "input": {"command": "curl -H 'Authorization: *** ***' https://u:***@example.com"},
        "output": {"stdout": "ok\nAPI_KEY=***", "interrupted": False},
    }
    assert (second["outcome"], second["output"]) == ("failure", "no such file")
    assert "CANARY" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        ({"db_password": "two words", "count": 3}, {"db_password": "***", "count": 3}),
        ({"secrets": ["a", {"x": "b"}]}, {"secrets": ["***", {"x": "b"}]}),
        ({"max_tokens": 4096, "tokenize": True}, {"max_tokens": "***", "tokenize": True}),
        ("x" * 2000, f"{'x' * LONGEST}… (2000 characters)"),
        ([1] * 99, [1] * 50),
        (None, None),
    ],
)
def test_what_is_named_like_a_secret_is_masked_and_what_is_long_is_cut(value: object, clean: object) -> None:
    assert cleaned(value) == clean


def test_a_secret_at_any_place_of_a_long_text_is_masked() -> None:
    for before in range(LONGEST - 60, LONGEST + 20, 7):
        assert "CANARY" not in str(cleaned(f"{'x ' * (before // 2)}password=CANARY-{'9' * 400} {'y' * 9000}"))


def test_the_log_is_kept_to_five_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "LARGEST", 1000)
    for number in range(60):
        record(str(tmp_path / "tools.jsonl"), CALL, now=number)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["tools.jsonl", *(f"tools.jsonl.{n}" for n in range(1, 5)), "tools.lock"]
    assert all((tmp_path / name).stat().st_size <= 1000 for name in names)
    assert json.loads((tmp_path / "tools.jsonl").read_text().splitlines()[-1])["time"] == 59


def test_the_hook_writes_it_where_the_configuration_says_and_nowhere_else(tmp_path: Path) -> None:
    shutil.copytree(BUNDLE, tmp_path / "shop/.claude")
    hook = ["python3", "-S", str(tmp_path / "shop/.claude/hooks/post_tool_use.py")]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run(hook, input=json.dumps(CALL).encode(), env=env, check=True)
    (tmp_path / "shop/.claude/hooks/config.json").write_text('{"tool_log": "~/log/tools.jsonl"}')
    done = subprocess.run(hook, input=json.dumps(CALL).encode(), env=env, check=True, capture_output=True)
    assert (done.stdout, done.stderr) == (b"", b"")
    log = tmp_path / "log/tools.jsonl"
    deadline = time.monotonic() + 20
    while not (log.exists() and log.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert len(log.read_text().splitlines()) == 1
    assert "CANARY" not in log.read_text()
