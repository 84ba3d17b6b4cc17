#!/usr/bin/python3
"""Ansible module: says which process listens on a TCP port of the host."""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: port_holder
short_description: Says which process listens on a TCP port
description:
  - Reads C(/proc) alone, needs no tool on the host and changes nothing.
options:
  port:
    description: The TCP port.
    type: int
    required: true
  address:
    description: The address that shall be bound; a listener on another single address does not disturb it.
    type: str
    default: "0.0.0.0"
  owners:
    description: Units, programs (name or full path) or scripts that may hold the port.
    type: list
    elements: str
    default: []
"""

LISTEN = "0A"


class Listener(NamedTuple):
    """One listening socket: its address, its owner's uid, and the inode by which a process holds it."""

    address: str
    uid: int
    inode: str


def decode_address(text: str) -> str:
    """Turn the hexadecimal address of ``/proc/net/tcp{,6}`` (words in host order) into its usual form."""
    raw = bytes.fromhex(text)
    words = b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4))
    address = ipaddress.ip_address(words)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def listeners(table: str, port: int) -> list[Listener]:
    """Return the sockets of a ``/proc/net/tcp`` table that listen on ``port``."""
    found = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        host, _, hex_port = fields[1].rpartition(":")
        if fields[3] == LISTEN and int(hex_port, 16) == port:
            found.append(Listener(address=decode_address(host), uid=int(fields[7]), inode=fields[9]))
    return found


def collides(bound: str, wanted: str) -> bool:
    """Say whether a listener on ``bound`` keeps another from ``wanted``; unspecified addresses mean all."""
    first, second = ipaddress.ip_address(bound), ipaddress.ip_address(wanted)
    return first == second or first.is_unspecified or second.is_unspecified


def unit_of(cgroup: str) -> str:
    """Return the systemd service in the text of ``/proc/PID/cgroup``, or an empty string."""
    match = re.search(r"/([^/\n]+\.service)(?:/|$)", cgroup, re.MULTILINE)
    return match.group(1) if match else ""


def owned(holder: dict[str, Any], owners: list[str]) -> bool:
    """Say whether the process is one of ``owners``: by unit, program, or a script among its arguments."""
    names = {holder["unit"], holder["unit"].removesuffix(".service"), holder["program"], *holder["arguments"]}
    names |= {Path(name).name for name in (holder["program"], *holder["arguments"]) if name.startswith("/")}
    return bool((names - {""}) & set(owners))


def read(path: Path) -> str:
    """Return a file's text, or nothing where it can't be read (the process has gone, or is another's)."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def process(path: Path) -> dict[str, Any]:
    """Describe the process of a directory ``/proc/PID``."""
    arguments = read(path / "cmdline").split("\0")
    try:
        program = str((path / "exe").readlink())
    except OSError:
        program = arguments[0] or read(path / "comm").strip()
    return {
        "pid": int(path.name),
        "program": program,
        "arguments": arguments[1:3],
        "unit": unit_of(read(path / "cgroup")),
    }


def holders_of(socket_: Listener) -> list[dict[str, Any]]:
    """Find the processes that hold the socket; systemd may hold one beside the service it keeps it for.

    Root in a container may not look into the processes of others: then all of the socket's user that stay
    closed to us are returned, for one of them it is.
    """
    target = f"socket:[{socket_.inode}]"
    found, closed = [], []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(fd.readlink()) == target for fd in (path / "fd").iterdir()):
                found.append(path)
        except PermissionError:
            if path.stat().st_uid == socket_.uid:
                closed.append(path)
        except OSError:
            continue
    return [process(path) for path in found or closed]


def describe(holders: list[dict[str, Any]]) -> str:
    """Name a process so that a person finds it; several are candidates."""
    names = []
    for holder in holders:
        unit = f", {holder['unit']}" if holder["unit"] else ""
        names.append(f"{holder['program']} (process {holder['pid']}{unit})")
    return " or ".join(names) or "a process that this user may not see"


def resolve(address: str) -> str:
    """Return the numeric form of an address or name; an empty one means all addresses."""
    if not address:
        return "0.0.0.0"  # noqa: S104 # nothing is bound here: this is what an empty host means to a daemon
    return str(socket.getaddrinfo(address.strip("[]"), None, type=socket.SOCK_STREAM)[0][4][0])


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "port": {"type": "int", "required": True},
            "address": {"type": "str", "default": "0.0.0.0"},  # noqa: S104 # the question, not a listener
            "owners": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        wanted = resolve(module.params["address"])
    except OSError as error:
        module.fail_json(msg=f"The address {module.params['address']} has no meaning on this host: {error}")
    tables = [read(Path("/proc/net/tcp")), read(Path("/proc/net/tcp6"))]
    sockets = [s for table in tables for s in listeners(table, module.params["port"])]
    foreign = []
    for found in sockets:
        if not collides(found.address, wanted):
            continue
        holders = holders_of(found)
        if not any(owned(holder, module.params["owners"]) for holder in holders):
            foreign.append(f"{describe(holders)} on {found.address}")
    module.exit_json(changed=False, free=not foreign, holders=foreign)


if __name__ == "__main__":
    main()
