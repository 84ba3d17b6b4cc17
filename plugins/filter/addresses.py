"""Addresses of listeners, and which hosts an inventory spans."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

OURS = ("monitoring", "developers")


def listen_host(address: str) -> str:
    """Return the host of ``host:port``, empty where it names none. Raises ValueError if malformed."""
    return _split(address)[0]


def listen_port(address: str) -> int:
    """Return the port of ``host:port``. Raises ValueError if malformed."""
    return _split(address)[1]


def _split(address: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:/\s]*)):(\d{1,5})", str(address))
    if not match or not 0 < int(match[3]) < 2**16:
        msg = f"{address!r} is not an address to listen on: write host:port, as in 127.0.0.1:9090."
        raise ValueError(msg)
    return match[1] or match[2] or "", int(match[3])


def is_listen_address(address: str) -> bool:
    """Say whether a text is ``host:port``, ``[v6]:port`` or ``:port``."""
    try:
        _split(address)
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Say whether only this machine reaches a listener on ``host:port``."""
    host = listen_host(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def local_url(address: str, *, tls: bool) -> str:
    """Return the URL by which the host itself reaches its listener."""
    host, port = _split(address)
    try:
        if ipaddress.ip_address(host).is_unspecified:
            host = ""
    except ValueError:
        pass
    host = host or "127.0.0.1"
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def url_from_elsewhere(address: str, name: str, *, tls: bool) -> str:
    """Return the URL of a listener for others: by the host's name, unless it listens on loopback alone."""
    if is_loopback(address):
        return local_url(address, tls=tls)
    return f"{'https' if tls else 'http'}://{name}:{listen_port(address)}"


def spans_hosts(groups: Mapping[str, Sequence[str]]) -> bool:
    """Say whether the inventory's groups of ours hold more than one host, so that numbers travel."""
    return len({host for group in OURS for host in groups.get(group, ())}) > 1


def host_names(hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the names each host's certificate carries: inventory name, ansible_host, trust_names."""
    names = {}
    for host in hosts:
        variables = hostvars[host]
        further = [variables.get("ansible_host") or host, *(variables.get("trust_names") or [])]
        names[host] = [str(host), *(str(name) for name in further if str(name) != str(host))]
    return names


def host_days(
    hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]], *, variable: str, default: int
) -> dict[str, int]:
    """Return the days that each host's ``variable`` says, or the default."""
    return {host: int(hostvars[host].get(variable, default)) for host in hosts}


def at_odds(
    own: Mapping[str, Any], other: Mapping[str, Any], *, defaults: Mapping[str, Any], names: Sequence[str]
) -> list[str]:
    """Return the names of the variables that one host's inventory has otherwise than another's."""
    return [name for name in names if own.get(name, defaults[name]) != other.get(name, defaults[name])]


class FilterModule:
    """The filters of this file, by the names that templates use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return name → function."""
        return {
            "at_odds": at_odds,
            "host_days": host_days,
            "host_names": host_names,
            "is_listen_address": is_listen_address,
            "is_loopback": is_loopback,
            "listen_host": listen_host,
            "listen_port": listen_port,
            "local_url": local_url,
            "spans_hosts": spans_hosts,
            "url_from_elsewhere": url_from_elsewhere,
        }
