"""Sizes of what tools are given and give back, as classes."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from utils.meter.contract import SIZES
from utils.sizes import BEYOND, CLASSES, class_of, classes

from tests.unit.meter_world import NOW, World, line


def test_the_hooks_and_the_contract_know_the_same_classes() -> None:
    assert (*(name for _, name in CLASSES), BEYOND) == SIZES


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "0"),
        ({"stdout": "", "stderr": "", "interrupted": False, "numLines": 7}, "0"),
        ("x", "1k"),
        ({"a" * 2000: "x"}, "1k"),
        ("x" * 1000, "1k"),
        ("x" * 1001, "10k"),
        ("é" * 501, "10k"),
        ("\ud800" * 334, "10k"),
        ({"file": {"content": ["x" * 50_000, "x" * 50_000]}}, "100k"),
        (["x" * 100_000, {"more": "x"}], "1M"),
        ("x" * 1_000_000, "1M"),
        ("x" * 1_000_001, "more"),
    ],
)
def test_a_class_is_that_of_all_text_in_bytes(value: object, name: str) -> None:
    assert class_of(value) == name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=900),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


def text_of(value: object) -> str:
    if isinstance(value, str):
        return value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return "".join(map(text_of, parts))


@given(JSON)
def test_how_text_is_nested_makes_no_difference(value: object) -> None:
    assert class_of(value) == class_of(text_of(value))


def test_a_failed_calls_output_is_its_error_and_what_is_not_there_has_no_class() -> None:
    assert classes({"tool_input": {"command": "ls"}, "error": "x" * 2000}) == {"n": "1k", "o": "10k"}
    assert classes({"tool_input": {}, "tool_response": "", "error": "x"}) == {"n": "0", "o": "0"}
    assert classes({}) == {}


def test_each_finished_call_counts_once_in_each_direction_and_a_strange_class_nowhere(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write(
        line("PostToolUse", k="Bash", i="u1", n="1k", o="more"),
        line("PostToolUse", k="Bash", i="u1", n="1k", o="more"),
        line("PostToolUseFailure", k="mcp__x__y", i="u2", n="0", o="1k"),
        line("PostToolUse", k="Bash", i="u3", n="huge"),
        line("PostToolUse", k="Bash", i="u4"),
    )
    samples = [s for family in world.ledger.families(now=NOW) for s in family.samples]
    found = {
        (s.labels["tool"], s.labels["direction"], s.labels["size"]): s.value
        for s in samples
        if s.name == "claude_code_tool_sizes_total"
    }
    assert found == {
        ("Bash", "input", "1k"): 1,
        ("Bash", "output", "more"): 1,
        ("mcp", "input", "0"): 1,
        ("mcp", "output", "1k"): 1,
    }


def test_a_class_says_nothing_of_the_text() -> None:
    assert "CANARY" not in json.dumps(classes({"tool_input": "CANARY-1", "tool_response": "CANARY-2"}))
