"""The module that names the process behind a listening port."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest

from plugins.modules.port_holder import (
    Listener,
    collides,
    decode_address,
    describe,
    holders_of,
    listeners,
    owned,
    unit_of,
)

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2382 00000000:0000 0A 00000000:00000000 00:00000000 00000000   107        0 4711 1 0 100 0
   1: 0100007F:2382 0100007F:C350 01 00000000:00000000 00:00000000 00000000   107        0 4712 1 0 20 4
"""


def test_only_listening_sockets_of_the_port_are_found() -> None:
    assert [tuple(found) for found in listeners(TABLE, 9090)] == [("127.0.0.1", 107, "4711")]
    assert listeners(TABLE, 9091) == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("00000000", "0.0.0.0"),
        ("0100007F", "127.0.0.1"),
        ("00000000000000000000000000000000", "::"),
        ("00000000000000000000000001000000", "::1"),
        ("0000000000000000FFFF00000100007F", "127.0.0.1"),
    ],
)
def test_the_kernels_spelling_of_addresses_is_read(text: str, address: str) -> None:
    assert decode_address(text) == address


@pytest.mark.parametrize(
    ("bound", "wanted", "result"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("::", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("10.0.0.5", "127.0.0.1", False),
    ],
)
def test_two_listeners_collide_on_one_address_or_on_all(*, bound: str, wanted: str, result: bool) -> None:
    assert collides(bound, wanted) is result


def test_the_unit_is_read_from_either_cgroup_version() -> None:
    assert unit_of("0::/system.slice/prometheus.service\n") == "prometheus.service"
    assert unit_of("1:name=systemd:/system.slice/nginx.service/worker\n") == "nginx.service"
    assert unit_of("0::/user.slice/session-3.scope\n") == ""


def test_an_owner_is_a_unit_a_program_or_a_script() -> None:
    holder = {"unit": "a.service", "program": "/usr/bin/python3", "arguments": ["/opt/x/exporter"], "pid": 7}
    for owner in ("a", "a.service", "python3", "/usr/bin/python3", "exporter", "/opt/x/exporter"):
        assert owned(holder, [owner])
    assert not owned(holder, ["b"])
    assert not owned({"unit": "", "program": "x", "arguments": [""], "pid": 7}, [""])


def test_a_real_listener_is_traced_to_its_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        inode = os.fstat(server.fileno()).st_ino
        holders = holders_of(Listener(address="127.0.0.1", uid=os.getuid(), inode=str(inode)))
    assert [holder["pid"] for holder in holders] == [os.getpid()]


def test_a_socket_that_a_service_and_its_keeper_hold_is_traced_to_both() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        inode = os.fstat(server.fileno()).st_ino
        with subprocess.Popen(["/bin/sleep", "60"], pass_fds=(server.fileno(),)) as keeper:
            found = holders_of(Listener(address="127.0.0.1", uid=os.getuid(), inode=str(inode)))
            keeper.kill()
        assert {holder["pid"] for holder in found} == {os.getpid(), keeper.pid}
        assert any(owned(holder, ["sleep"]) for holder in found)


def test_a_holder_is_named_by_program_process_and_unit() -> None:
    seen = {"unit": "a.service", "program": "/usr/bin/a", "arguments": [], "pid": 7}
    assert describe([seen]) == "/usr/bin/a (process 7, a.service)"
    assert describe([seen, {**seen, "unit": "", "pid": 8}]).endswith(" or /usr/bin/a (process 8)")
    assert describe([]) == "a process that this user may not see"
