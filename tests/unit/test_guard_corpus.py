"""The guard's verdicts on the project's own corpus of attacks and look-alikes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from utils.guard import decide
from utils.guard.policy import Policy

from tests.support.tools import parser

SHFMT = parser()
CORPUS = Path(__file__).parent / "data" / "guard_own.jsonl"


def cases() -> list[dict[str, object]]:
    """Return the cases that can be decided and have one right verdict."""
    rows = [json.loads(line) for line in CORPUS.read_text().splitlines()]
    return [row for row in rows if row["difficulty"] != "undecidable" and "acceptable" not in row]


def verdict(case: dict[str, object]) -> str:
    policy = Policy()
    policy.home, policy.project, policy.shfmt = str(case["home"]), str(case["cwd"]), SHFMT
    found = decide(str(case["tool_name"]), case["tool_input"], str(case["cwd"]), policy)
    return "block" if found.reason else "allow"


@pytest.mark.parametrize("kind", ["rm", "env", "benign"])
def test_every_case_of_the_corpus_gets_its_verdict(kind: str) -> None:
    chosen = [case for case in cases() if str(case["category"]).startswith(kind)]
    wrong = [case["tool_input"] for case in chosen if verdict(case) != case["expect"]]
    assert len(chosen) > 100
    assert wrong == []


@pytest.mark.parametrize("blocked", [True, False])
def test_commands_unlike_those_of_the_corpus_get_their_verdict_too(blocked: bool) -> None:  # noqa: FBT001
    rows = [json.loads(line) for line in (CORPUS.parent / "guard_general.jsonl").read_text().splitlines()]
    chosen = [row["command"] for row in rows if row["blocked"] is blocked]
    case = {"tool_name": "Bash", "cwd": "/workspace/project", "home": "/home/user"}
    expected = "block" if blocked else "allow"
    wrong = [text for text in chosen if verdict({**case, "tool_input": {"command": text}}) != expected]
    assert len(chosen) > 150
    assert wrong == []
