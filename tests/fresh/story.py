"""The story that each bare machine goes through, and what its numbers must be in the end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.fresh.machine import ROOT, Machine, eventually
from tests.support.messages_api import USAGE

if TYPE_CHECKING:
    from tests.fresh.machine import Run

# Name: image, and who deploys there.
MACHINES = {
    "debian-12": ("ccpo-debian12", "root"),
    "debian-13-systemd": ("ccpo-debian13-systemd", "ops"),
}
HOME = "/home/dev"
API = "http://127.0.0.1:8099"
SCRIPT: list[dict[str, Any]] = [
    {"tools": [["Bash", {"command": "echo one", "description": "say one"}]]},
    {"tools": [["Bash", {"command": "ls /nowhere", "description": "look"}]]},
    {"tools": [["Write", {"file_path": f"{HOME}/work/note.txt", "content": "a note\n"}]]},
    {"tools": [["Read", {"file_path": f"{HOME}/work/note.txt"}]]},
    {"tools": [["Bash", {"command": f"rm -rf {HOME}/precious", "description": "tidy up"}]]},
    {"tools": [["Read", {"file_path": f"{HOME}/work/.env"}]]},
    {"text": "done"},
]
Counts = dict[tuple[str, ...], float]
CALLS: Counts = {
    ("Bash", "success"): 1.0,
    ("Bash", "failure"): 1.0,
    ("Bash", "blocked"): 1.0,
    ("Write", "success"): 1.0,
    ("Read", "success"): 1.0,
    ("Read", "blocked"): 1.0,
}
TOKENS: Counts = {
    ("input",): float(len(SCRIPT) * USAGE["input_tokens"]),
    ("output",): float(len(SCRIPT) * USAGE["output_tokens"]),
    ("cacheRead",): float(len(SCRIPT) * USAGE["cache_read_input_tokens"]),
    ("cacheCreation",): float(len(SCRIPT) * USAGE["cache_creation_input_tokens"]),
}


@dataclass
class Story:
    """What happened on one machine, in this order."""

    machine: Machine
    refused: Run
    changed_by_refusal: set[str]
    first: Run
    session: dict[str, Any]
    unforeseen: list[str]
    numbers: dict[str, Counts]
    second: Run
    numbers_after: dict[str, Counts]
    checked: Run


def numbers(machine: Machine) -> dict[str, Counts]:
    """Return what Prometheus says that the user ``dev`` did and spent; money in micro-dollars."""
    mine = '{user="dev"}'
    calls, blocks = f"claude_code_tool_usage_total{mine}", f"claude_code_security_blocks_total{mine}"
    return {
        "calls": machine.counts(f"sum by (tool, outcome) ({calls})", "tool", "outcome"),
        "blocks": machine.counts(f"sum by (reason, tool) ({blocks})", "reason", "tool"),
        "tokens": machine.counts(f"sum by (type) (claude_code_tokens_total{mine})", "type"),
        "sessions": machine.counts(f"sum(claude_code_session_duration_seconds_count{mine})"),
        "cost": machine.counts(f"round(1e6 * sum(claude_code_spend_usd_total{mine}))"),
    }


def expected(session: dict[str, Any]) -> dict[str, Counts]:
    """Return the same numbers as the script implies them, and the client's own account of the cost."""
    return {
        "calls": CALLS,
        "blocks": {("rm_rf", "Bash"): 1.0, ("env_file", "Read"): 1.0},
        "tokens": TOKENS,
        "sessions": {(): 1.0},
        "cost": {(): float(round(1e6 * session["total_cost_usd"]))},
    }


def work(machine: Machine) -> dict[str, Any]:
    """Let the real client work through the script as user ``dev``; return its own account of the session."""
    machine.must("useradd", "--create-home", "--shell", "/bin/bash", "dev")
    machine.must("mkdir", "-p", "/srv/api")
    machine.write("/srv/api/api.py", (ROOT / "tests/support/messages_api.py").read_text())
    machine.write("/srv/api/fresh.json", json.dumps(SCRIPT))
    machine.must(
        "sh",
        "-c",
        f"""
        mkdir -p {HOME}/work {HOME}/precious
        echo kept >{HOME}/precious/file
        echo SECRET=1 >{HOME}/work/.env
        chown -R dev:dev {HOME}
        setsid python3 /srv/api/api.py 8099 /srv/api >/srv/api/log 2>&1 </dev/null &
        """,
    )
    eventually(
        lambda: machine.run("sh", "-c", "ss -ltn 2>/dev/null | grep -q 8099 || sleep 1").status, 0, within=20
    )
    answer = machine.must(
        *("claude", "-p", "[[fresh]] go", "--output-format", "json"),
        *("--allowedTools", "Bash", "Read", "Write"),
        user="dev",
        cwd=f"{HOME}/work",
        env={
            "HOME": HOME,
            "ANTHROPIC_BASE_URL": API,
            "ANTHROPIC_API_KEY": "sk-ant-none",
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        },
        timeout=120.0,
    )
    account: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return account


def tell(name: str, *, image: str, operator: str) -> Story:
    """Take one bare machine through everything."""
    machine = Machine.start(name, image=image, operator=operator)
    machine.clone()
    before = machine.changes()
    refused = machine.deploy(user="nobody")
    changed_by_refusal = machine.changes() - before
    first = machine.deploy()
    assert first.status == 0, first.output
    session = work(machine)
    served = [json.loads(line) for line in machine.must("cat", "/srv/api/served.jsonl").splitlines()]
    told = eventually(lambda: numbers(machine), expected(session), within=60)
    second = machine.deploy()
    return Story(
        machine=machine,
        refused=refused,
        changed_by_refusal=changed_by_refusal,
        first=first,
        session=session,
        unforeseen=[line["error"] for line in served if line["key"] is None],
        numbers=told,
        second=second,
        numbers_after=numbers(machine),
        checked=machine.deploy("--check"),
    )
