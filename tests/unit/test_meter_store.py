"""The ledger's file survives kills, damage, full disks and newer code, and two writers never share it."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest
from utils.meter import store
from utils.meter.ledger import Ledger, LedgerBusy, LedgerError, Options

from tests.unit.meter_world import NAME, NOW, World, event, fresh_world, line, logs, metrics, point

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COST = "claude_code.cost.usage"
PROMPTS = "claude_code_prompts_total"


def test_a_second_ledger_on_the_same_file_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(LedgerBusy, match="in use by another process"):
        Ledger.open(world.path, options=Options(), now=NOW)
    world.ledger.close()
    Ledger.open(world.path, options=Options(), now=NOW).close()


def test_nobody_else_may_read_the_ledger(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}
    assert world.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["text", "page", "table", "value"])
def test_a_damaged_ledger_is_set_aside_rebuilt_and_said(tmp_path: Path, damage: str) -> None:
    world = World(tmp_path)
    data = line("SessionStart") + line("UserPromptSubmit")
    world.write(data)
    world.ledger.close()
    if damage == "text":
        world.path.write_bytes(b"this is no database, " * 1000)
    elif damage == "page":
        content = bytearray(world.path.read_bytes())
        content[4096:] = os.urandom(len(content) - 4096)
        world.path.write_bytes(content)
    else:
        with sqlite3.connect(world.path) as db:
            db.execute("DROP TABLE series" if damage == "table" else "UPDATE series SET value = 'many'")
        db.close()
    world.ledger = Ledger.open(world.path, options=Options(), now=NOW)
    assert str(world.path) in world.ledger.damage
    assert "set aside as ledger.sqlite.damaged-" in world.ledger.damage
    assert len(list(tmp_path.glob("*.damaged-*"))) >= 1
    assert world.ledger.offset(owner=1000, journal=NAME) == 0
    world.write(data)
    assert world.total(PROMPTS) == 1
    world.reopen()
    assert world.ledger.damage == ""
    assert world.total(PROMPTS) == 1


def test_a_ledger_of_the_first_schema_is_brought_up_to_date_with_its_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(store, "SCHEMA", store.SCHEMA[:1])
        patch.setattr(store, "_TABLES", frozenset())
        path = tmp_path / "ledger.sqlite"
        old = store.Store(path)
        row = (1, PROMPTS, "dev", "proj", "[]", "41", "", 0)
        old.db.execute("INSERT INTO series VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        assert old.db.execute("PRAGMA user_version").fetchone()[0] == 1
        old.close()
    world = World(tmp_path)
    world.write(line("UserPromptSubmit"))
    world.export(logs([event("api_request", request_id="r", cost_usd=0.5, model="m")]))
    assert world.total(PROMPTS) == 42
    assert world.total("claude_code_request_cost_usd_total") == 0.5


def test_a_ledger_of_a_newer_schema_is_left_alone_with_a_sentence(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.ledger.close()
    with sqlite3.connect(world.path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    before = world.path.read_bytes()
    with pytest.raises(LedgerError, match="newer version"):
        Ledger.open(world.path, options=Options(), now=NOW)
    assert world.path.read_bytes() == before


def test_a_full_disk_is_said_and_nothing_is_half_done(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write(line("UserPromptSubmit"))
    before = world.series()
    pages = world.ledger._store.db.execute("PRAGMA page_count").fetchone()[0]
    world.ledger._store.db.execute(f"PRAGMA max_page_count={pages + 1}")
    at = world.ledger.offset(owner=1000, journal=NAME)
    many = b"".join(line("SessionStart", s=f"s{number}", p=f"p{number}") for number in range(2000))
    with pytest.raises(LedgerError, match=r"full.*nothing was counted: free space"):
        world.write(many)
    assert world.ledger.offset(owner=1000, journal=NAME) == at
    assert world.series() == before
    world.ledger._store.db.execute("PRAGMA max_page_count=1000000")
    world.write(many)
    assert world.total("claude_code_hook_events_total", event="SessionStart") == 2000


def test_a_disk_that_became_read_only_is_said_and_counting_goes_on_when_it_is_not(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write(line("UserPromptSubmit"))
    world.ledger._store.db.execute("PRAGMA query_only=1")
    with pytest.raises(LedgerError, match="make its directory writable"):
        world.export(metrics(COST, [point(0.5, model="m")]))
    assert world.total("claude_code_spend_usd_total") == 0
    assert world.total(PROMPTS) == 1
    world.ledger._store.db.execute("PRAGMA query_only=0")
    world.export(metrics(COST, [point(0.5, model="m")]))
    assert world.total("claude_code_spend_usd_total") == 0.5


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="No such file or directory"):
        Ledger.open(tmp_path / "none" / "ledger.sqlite", options=Options(), now=NOW)


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LedgerError, match="lock"):
        Ledger.open(tmp_path / "ledger.sqlite", options=Options(), now=NOW)
    assert not (tmp_path / "elsewhere").exists()


def test_a_hundred_kills_at_random_moments_lose_and_double_nothing() -> None:
    """A child counts a journal and exports again and again and is killed with -9 until all is in."""
    events = 3000
    data = b"".join(
        line("PostToolUse", time=NOW + number, k="Bash", i=f"u{number}", d=1) for number in range(events)
    )
    bodies = [metrics(COST, [point(0.001, time=number, model="m")]) for number in range(200)]
    moments = random.Random(7)  # noqa: S311
    with fresh_world() as world:
        world.ledger.close()
        kills = 0
        while kills < 100:
            child = os.fork()
            if child == 0:
                _count_slowly(world, data, bodies, start=kills)
            time.sleep(moments.uniform(0.002, 0.03))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            kills += 1
        world.ledger = Ledger.open(world.path, options=Options(), now=NOW)
        world.write(data[world.ledger.offset(owner=1000, journal=NAME) :])
        for body in bodies:
            world.export(body)
        assert world.ledger.damage == ""
        assert world.total("claude_code_tool_usage_total", outcome="success") == events
        assert world.total("claude_code_tool_duration_seconds_sum") == events / 1000
        assert world.total("claude_code_spend_usd_total") == 0.2


def _count_slowly(world: World, data: bytes, bodies: Sequence[object], *, start: int) -> None:
    """Count in many small transactions until killed; never returns."""
    try:
        world.ledger = Ledger.open(world.path, options=Options(), now=NOW)
        number = start * 2
        while True:
            at = world.ledger.offset(owner=1000, journal=NAME)
            chunk = data[at : at + 3000]
            world.ledger.journal(owner=1000, user="dev", journal=NAME, offset=at, chunk=chunk, now=NOW)
            world.export(bodies[number % len(bodies)])
            number += 1
    finally:
        os._exit(1)
