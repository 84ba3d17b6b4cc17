"""Where others reach a listener."""

from __future__ import annotations

import pytest

from plugins.filter.addresses import url_from_elsewhere


@pytest.mark.parametrize(
    ("address", "tls", "url"),
    [
        ("127.0.0.1:9090", False, "http://127.0.0.1:9090"),
        ("[::1]:9090", True, "https://[::1]:9090"),
        ("0.0.0.0:9090", True, "https://monitor:9090"),
        (":9090", False, "http://monitor:9090"),
        ("10.0.0.7:9091", True, "https://monitor:9091"),
    ],
)
def test_others_reach_a_listener_by_its_hosts_name_unless_it_is_on_loopback(
    address: str, *, tls: bool, url: str
) -> None:
    assert url_from_elsewhere(address, "monitor", tls=tls) == url
