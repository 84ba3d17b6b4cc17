"""Any number of sessions, in any order, cut and repeated anywhere, count as adding up by hand does."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.meter_world import NOW, event, fresh_world, line, logs, metrics, point

if TYPE_CHECKING:
    import random

    from tests.unit.meter_world import World

USERS = ("ada", "bob")
PROJECTS = ("red", "green", "blue")
TOOLS = ("Bash", "Read", "Edit", "mcp__a__b", "Novel")
FOLDED = {"mcp__a__b": "mcp", "Novel": "other"}
HOUR = 3600.0


class Fleet(NamedTuple):
    """What happened: lines by user in the order of writing, OTLP bodies, and the sums made by hand."""

    lines: list[list[bytes]]
    bodies: list[Any]
    sums: Counter[tuple[str, ...]]


STEP = st.one_of(
    st.tuples(st.just("prompt"), st.just(""), st.just(0)),
    st.tuples(
        st.sampled_from(["success", "failure", "blocked"]), st.sampled_from(TOOLS), st.integers(0, 5000)
    ),
    st.tuples(st.just("spend"), st.just(""), st.integers(0, 10**9)),
)
REQUEST = st.tuples(st.integers(0, 10**9), st.lists(st.sampled_from(TOOLS), max_size=4))
SESSION = st.tuples(
    st.integers(0, 1), st.integers(0, 2), st.lists(STEP, max_size=8), st.lists(REQUEST, max_size=3)
)


def fleet(sessions: list[Any], chance: random.Random) -> Fleet:
    """Return what `sessions` do, interleaved by `chance`, and its sums."""
    queues: list[list[list[bytes]]] = [[], []]
    bodies: list[Any] = []
    sums: Counter[tuple[str, ...]] = Counter()
    for number, (owner, project, steps, requests) in enumerate(sessions):
        mine: dict[str, Any] = {"session": f"s{number}", "p": PROJECTS[project]}
        whose = (USERS[owner], PROJECTS[project])
        lines = [line("SessionStart", **mine)]
        sums["sessions", *whose] += 1
        for index, (what, tool, amount) in enumerate(steps):
            call: dict[str, Any] = {"k": tool, "i": f"u{number}-{index}", **mine}
            if what == "prompt":
                lines.append(line("UserPromptSubmit", **mine))
                sums["prompts", *whose] += 1
            elif what == "spend":
                bodies.append(metrics("claude_code.cost.usage", [_point(amount, **_of(mine))]))
                sums["spend", *whose] += amount
            else:
                blocked: dict[str, Any] = {"r": "rm_rf"} if what == "blocked" else {}
                lines.append(line("PreToolUse", **call, **blocked))
                if what == "failure":
                    lines.append(_finished("PostToolUseFailure", amount, call))
                if what != "blocked":
                    lines.append(_finished("PostToolUse", amount, call))
                    sums["milliseconds", *whose] += amount
                sums["tools", FOLDED.get(tool, tool), what, *whose] += 1
        for index, (cost, tools) in enumerate(requests):
            name = f"r{number}-{index}"
            bodies.append(logs([event("api_request", **_of(mine), request_id=name, cost_usd=cost / 10**9)]))
            for use, tool in enumerate(tools):
                made: dict[str, Any] = (
                    {} if number % 2 else {"request_id": name}
                )  # an older client does not say which
                made |= {"tool_name": tool, "tool_use_id": f"{name}-{use}"}
                bodies.append(logs([event("tool_decision", **_of(mine), **made)]))
            called = sorted(FOLDED.get(tool, tool) for tool in tools) or ["none"]
            for place, tool in enumerate(called):
                share = cost // len(called) + (place < cost % len(called))
                sums["tool cost", tool, *whose] += share
        lines.append(line("SessionEnd", **mine))
        queues[owner].append(lines)
    journals = [_interleaved(queue, chance) for queue in queues]
    bodies += [body for body in bodies if chance.random() < 0.3]
    chance.shuffle(bodies)
    return Fleet(journals, bodies, +sums)


def _of(mine: dict[str, Any]) -> dict[str, Any]:
    return {"session": mine["session"]}


def _point(nano: int, *, session: str) -> dict[str, Any]:
    return point(nano / 10**9, session=session, model="m", query_source="main")


def _finished(name: str, milliseconds: int, call: dict[str, Any]) -> bytes:
    return line(name, d=milliseconds, **call)


def _interleaved(queues: list[list[bytes]], chance: random.Random) -> list[bytes]:
    """Return the lines of all queues, each queue's in its order."""
    turns = [index for index, queue in enumerate(queues) for _ in queue]
    chance.shuffle(turns)
    rest = [iter(queue) for queue in queues]
    return [next(rest[turn]) for turn in turns]


def counted(world: World) -> Counter[tuple[str, ...]]:
    """Return the ledger's sums in the terms of those made by hand."""
    wanted = {
        "claude_code_prompts_total": ("prompts", 1),
        "claude_code_spend_usd_total": ("spend", 10**9),
        "claude_code_tool_usage_total": ("tools", 1),
        "claude_code_tool_cost_usd_total": ("tool cost", 10**9),
        "claude_code_tool_duration_seconds_sum": ("milliseconds", 1000),
        "claude_code_session_duration_seconds_count": ("sessions", 1),
    }
    found: Counter[tuple[str, ...]] = Counter()
    for family in world.ledger.families(now=NOW):
        for name, labels, value in family.samples:
            if name in wanted:
                kind, scale = wanted[name]
                shown = ("tool", "outcome") if kind == "tools" else ("tool",) if kind == "tool cost" else ()
                whose = (labels["user"], labels["project"])
                found[kind, *(labels[label] for label in shown), *whose] += round(value * scale)
    return +found


@settings(max_examples=80)
@given(
    sessions=st.lists(SESSION, min_size=1, max_size=5),
    chance=st.randoms(use_true_random=False),
)
def test_any_interleaving_repetition_order_and_kill_adds_up_as_by_hand(
    sessions: list[Any], chance: random.Random
) -> None:
    happened = fleet(sessions, chance)
    journals = [b"".join(lines) for lines in happened.lines]
    bodies = list(happened.bodies)
    with fresh_world() as world:
        for _ in range(chance.randrange(40)):
            move = chance.choice(("read", "read", "read", "receive", "receive", "tick", "restart", "fail"))
            owner = chance.randrange(2)
            if move == "read":
                _read(world, owner, journals[owner], chance)
            elif move == "receive" and bodies:
                world.export(bodies.pop())
            elif move == "tick":
                world.ledger.tick(now=NOW + chance.uniform(0, 14), boot_id="b")
            elif move == "restart":
                world.reopen()
            elif move == "fail":
                _fail(world, owner, journals[owner], bodies)
        for body in bodies:
            world.export(body)
        for owner, data in enumerate(journals):
            done = world.ledger.offset(owner=owner, journal="j")
            assert world.ledger.journal(
                owner=owner, user=USERS[owner], journal="j", offset=done, chunk=data[done:], now=NOW
            ) == len(data)
        world.ledger.tick(now=NOW + HOUR, boot_id="b")
        assert counted(world) == happened.sums


def _read(world: World, owner: int, data: bytes, chance: random.Random) -> None:
    """Read some piece of the journal: what comes next, what is known, or both, with half lines."""
    known = world.ledger.offset(owner=owner, journal="j")
    start = chance.randint(0, known)
    piece = data[start : start + chance.randint(0, 1500)]
    world.ledger.journal(owner=owner, user=USERS[owner], journal="j", offset=start, chunk=piece, now=NOW)


def _fail(world: World, owner: int, data: bytes, bodies: list[Any]) -> None:
    """Let a transaction fail at its very end, as a full disk does."""
    known = world.ledger.offset(owner=owner, journal="j")
    with patch.object(world.ledger._live, "flush", side_effect=MemoryError):
        try:
            world.ledger.journal(
                owner=owner, user=USERS[owner], journal="j", offset=known, chunk=data[known:], now=NOW
            )
            world.export(bodies[-1] if bodies else logs([]))
        except MemoryError:
            return


VALID = line("UserPromptSubmit")[:-1]


@given(st.lists(st.one_of(st.just(VALID), st.binary(max_size=200).filter(lambda junk: b"\n" not in junk))))
def test_junk_between_lines_is_refused_and_the_lines_count(lines: list[bytes]) -> None:
    with fresh_world() as world:
        world.write(b"".join(text + b"\n" for text in lines))
        assert world.total("claude_code_prompts_total") == lines.count(VALID)
        refused = world.total("claude_code_exporter_rejected_total")
        assert refused == len(lines) - lines.count(VALID) - lines.count(b"")


@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_damaged_line_counts_at_most_once_and_only_as_an_event(flips: list[tuple[int, int]]) -> None:
    damaged = bytearray(VALID)
    for place, byte in flips:
        damaged[place] = byte
    pieces = bytes(damaged).split(b"\n")
    with fresh_world() as world:
        world.write(bytes(damaged) + b"\n")
        counted_events = world.total("claude_code_hook_events_total")
        refused = world.total("claude_code_exporter_rejected_total")
        assert counted_events <= 1
        assert counted_events + refused == len(pieces) - pieces.count(b"")
        assert world.total("claude_code_prompts_total") <= counted_events
        assert world.total("claude_code_tool_usage_total") == 0


def test_threads_that_read_receive_and_render_at_once_lose_nothing() -> None:
    with fresh_world() as world:

        def reader(owner: int) -> None:
            for number in range(50):
                text = line("UserPromptSubmit", s=f"s{owner}", i=str(number))
                world.write(text, owner=owner, journal=f"j{owner}")

        def receiver(owner: int) -> None:
            for number in range(50):
                body = metrics("claude_code.cost.usage", [point(0.001, session=f"s{owner}", time=number)])
                world.export(body)
                world.ledger.exposition(now=NOW)

        threads = [
            threading.Thread(target=work, args=(owner,)) for owner in range(3) for work in (reader, receiver)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert world.total("claude_code_prompts_total") == 150
        assert world.total("claude_code_spend_usd_total") == 0.15
