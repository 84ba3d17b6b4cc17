"""Connections get their turn: who holds many keeps nobody else from the workers."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "files" / "exporter"))

from claude_code_exporter.turns import LONGEST_QUEUE, Turns, peer


@dataclass
class Connection:
    who: str
    near: bool = False
    closed: list[bool] = field(default_factory=list)

    def close(self) -> None:
        self.closed.append(True)


def turns(workers: int = 8) -> Turns[Connection]:
    return Turns(workers, lambda connection: connection.who, near=lambda connection: connection.near)


def test_who_is_slow_has_a_quarter_of_the_workers_and_waits_for_them_alone() -> None:
    line = turns()
    slow = [Connection("10.0.0.1") for _ in range(20)]
    assert [line.begin(each) for each in slow] == [True, True, *[False] * 18]
    assert line.begin(Connection("10.0.0.2"))
    assert line.end(slow[0]) is slow[2]
    assert line.end(slow[1]) is slow[3]


def test_users_of_the_host_are_told_apart_when_half_of_the_workers_are_at_work() -> None:
    line = turns()
    slow = [Connection("uid 1000", near=True) for _ in range(20)]
    assert [line.begin(each) for each in slow] == [*[True] * 6, *[False] * 14]
    assert line.begin(Connection("uid 1001", near=True))
    assert line.begin(Connection("uid 1001", near=True))


def test_when_the_workers_are_about_to_leave_nobody_waits_any_more() -> None:
    line = turns()
    connections = [Connection("10.0.0.1") for _ in range(5)]
    assert [line.begin(each) for each in connections] == [True, True, False, False, False]
    assert line.last() == connections[2:]
    assert line.begin(Connection("10.0.0.1"))
    assert [line.end(each) for each in connections] == [None] * 5


def test_many_of_one_user_are_all_served() -> None:
    line = turns()
    connections = [Connection("uid 1000", near=True) for _ in range(40)]
    working = [each for each in connections if line.begin(each)]
    served = 0
    while working:
        served += 1
        following = line.end(working.pop(0))
        if following is not None:
            working.append(following)
    assert served == 40
    assert line.begin(Connection("uid 1000"))


def test_a_queue_has_an_end() -> None:
    line = turns()
    connections = [Connection("10.0.0.1") for _ in range(2 + LONGEST_QUEUE + 3)]
    for each in connections:
        line.begin(each)
    assert [bool(each.closed) for each in connections] == [*[False] * (2 + LONGEST_QUEUE), *[True] * 3]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_peer_on_this_host_is_known_by_its_user(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        here = listener.getsockname()[1]
        with socket.create_connection((address, here)) as client:
            assert peer(address, client.getsockname()[1], here=here) == f"uid {os.geteuid()}"


def test_a_peer_elsewhere_is_known_by_its_address() -> None:
    assert peer("192.0.2.7", 4711, here=9468) == "192.0.2.7"
