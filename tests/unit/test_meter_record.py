"""A journal line is a record, a header, or refused with its reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from utils.meter.record import Malformed, Record, parse

from tests.unit.meter_world import NOW, line


def test_a_line_is_the_record_that_was_written() -> None:
    text = line("PostToolUse", k="Bash", i="toolu_1", d=12.5, n="1k", o="0")
    assert parse(text[:-1]) == Record(NOW, "PostToolUse", "2357881f-da70-4230-955d-2f51404ba029", "proj",
        "Bash", "toolu_1", 12.5, input_size="1k", output_size="0")  # fmt: skip


def test_the_header_is_no_record() -> None:
    assert parse(b'{"journal": "00", "v": 1}') is None


def test_a_key_of_a_later_version_is_no_error() -> None:
    assert parse(b'{"t": 1.5, "e": "Stop", "zz": [1]}') == Record(1.5, "Stop")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"t": 1.5, "e": "Sto', "json"),
        (b"[1]", "json"),
        (b'"Stop"', "json"),
        (b"\xff\xfe", "json"),
        (b'{"t": 1.5, "e": "Caf\xc3\xa9"}', "json"),
        (b'{"t": NaN, "e": "Stop"}', "json"),
        (b'{"t": 1e999, "e": "Stop"}', "field"),
        (b"[" * 4000, "json"),
        (b'{"e": "Stop"}', "field"),
        (b'{"t": true, "e": "Stop"}', "field"),
        (b'{"t": -1, "e": "Stop"}', "field"),
        (b'{"t": 1, "e": 7}', "field"),
        (b'{"t": 1}', "field"),
        (b'{"t": 1, "e": "Stop", "d": -3}', "field"),
        (b'{"t": 1, "e": "Stop", "d": "3"}', "field"),
        (b'{"t": 1, "e": "Stop", "d": 1e300}', "field"),
        (b'{"t": 1, "e": "Stop", "k": ["Bash"]}', "field"),
        (b'{"t": 1, "e": "Stop", "x": null}', "field"),
        (b'{"t": 1, "e": "Stop", "o": 7}', "field"),
        (b'{"t": 1, "e": "Stop", "s": "a b"}', "session"),
        (b'{"t": 1, "e": "Stop", "s": "\\ud800"}', "session"),
        (b'{"t": 1, "e": "' + b"S" * 4096 + b'"}', "line_too_long"),
    ],
)
def test_what_cannot_be_counted_is_refused_with_its_reason(text: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse(text)
    assert refused.value.reason == reason


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_parser(text: bytes) -> None:
    try:
        found = parse(text)
    except Malformed:
        return
    assert found is None or isinstance(found, Record)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("tespkidrax"), inner, max_size=5)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("tespkidrax"), JSON, max_size=10))
def test_no_json_becomes_a_record_of_the_wrong_types(fields: dict[str, object]) -> None:
    try:
        found = parse(json.dumps(fields).encode())
    except Malformed:
        return
    assert found is not None
    assert isinstance(found.event, str)
    assert found.event
    assert 0 < found.time < 1e11
    assert found.duration is None or found.duration >= 0
    assert all(isinstance(text, str) for text in (*found[2:6], *found[7:]))
