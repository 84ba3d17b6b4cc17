"""The filters by which containers are described."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter import containers

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ("prom/prometheus:v3.5.0", "prom/prometheus:v3.5.0"),
        (f"mirror.example/prom/prometheus:v3.5.0@{DIGEST}", f"mirror.example/prom/prometheus@{DIGEST}"),
        (f"registry.example.com:5000/a/b@{DIGEST}", f"registry.example.com:5000/a/b@{DIGEST}"),
    ],
)
def test_the_digest_of_an_image_counts_where_there_is_one(image: str, reference: str) -> None:
    assert containers.image_fault(image) == ""
    assert containers.image_reference(image) == reference


@pytest.mark.parametrize("image", ["prometheus", "a b:1", "a:1;id", "a@sha256:12", "registry:5000/a", ""])
def test_an_image_without_tag_and_digest_or_with_anything_else_is_refused(image: str) -> None:
    assert containers.image_fault(image).startswith(f"{image} is no image: ")


@pytest.mark.parametrize(
    ("address", "published"),
    [
        ("127.0.0.1:9090", "127.0.0.1:9090:9090"),
        ("localhost:9090", "127.0.0.1:9090:9090"),
        (":9090", "0.0.0.0:9090:9090"),
        ("[::1]:9090", "[::1]:9090:9090"),
    ],
)
def test_a_port_is_published_where_the_inventory_says_and_nowhere_else(address: str, published: str) -> None:
    assert containers.publish_fault(address) == ""
    assert containers.publish(address) == published


def test_a_port_is_not_published_on_a_name() -> None:
    assert containers.publish_fault("monitor:9090").startswith("monitor:9090 names a host: ")


@pytest.mark.parametrize(
    ("address", "client", "server", "reached"),
    [
        ("127.0.0.1:9091", "apt", "apt", "localhost:9091"),
        ("0.0.0.0:9191", "apt", "docker", "localhost:9191"),
        ("127.0.0.1:9191", "docker", "docker", "claude-code-pushgateway:9191"),
        ("0.0.0.0:9091", "docker", "apt", "host.docker.internal:9091"),
        ("127.0.0.1:9091", "docker", "apt", "localhost:9091"),
    ],
)
def test_services_of_a_host_find_each_other(address: str, client: str, server: str, reached: str) -> None:
    found = containers.reach(address, "claude-code-pushgateway", client=client, server=server)
    assert found == reached
    unreachable = client == "docker" and server == "apt" and address.startswith("127.")
    assert containers.is_own_loopback(found) == (unreachable or client == "apt")


def test_only_names_that_no_certificate_carries_are_verified_as_this_host() -> None:
    names = ["claude-code-pushgateway"]
    assert containers.certified_as(["claude-code-pushgateway:9091"], names) == {
        "tls_config": {"server_name": "localhost"}
    }
    assert containers.certified_as(["monitor.example.com:9091"], names) == {}


def test_additions_go_over_a_description() -> None:
    ours: dict[str, Any] = {"mounts": [1], "env": {"A": "1", "B": "1"}, "memory": "1g"}
    assert containers.described(ours, {"mounts": [2], "env": {"B": "2"}, "memory": "2g"}) == {
        "mounts": [1, 2],
        "env": {"A": "1", "B": "2"},
        "memory": "2g",
    }
    with pytest.raises(AnsibleFilterError, match="mounts must be a list"):
        containers.described(ours, {"mounts": "x"})


@pytest.mark.parametrize(
    ("says", "status", "ready"),
    [
        ("", 0, True),
        ("wget: server returned error: HTTP/1.1 401 Unauthorized", 1, True),
        ("wget: server returned error: HTTP/1.1 503 Service Unavailable", 1, False),
        ("wget: no connection to remote host: Connection refused", 1, False),
    ],
)
def test_a_service_is_ready_that_answers_or_asks_who_we_are(says: str, status: int, ready: bool) -> None:  # noqa: FBT001
    _, command = containers.ready_probe("https://127.0.0.1:9091/-/ready")
    script = f"wget() {{ printf %s '{says}'; return {status}; }}\n"
    assert (subprocess.run(["sh", "-c", script + command], check=False).returncode == 0) == ready


@pytest.mark.parametrize(
    ("says", "status", "ready"),
    [
        ("SUCCESS", 0, True),
        ("Service Unavailable", 1, False),
        ("promtool: error: expected command but got ready", 1, True),
    ],
)
def test_a_checker_decides_unless_the_image_has_none(says: str, status: int, ready: bool) -> None:  # noqa: FBT001
    _, command = containers.ready_probe("https://127.0.0.1:9090/-/ready", checker="checker x")
    script = f"checker() {{ echo '{says}'; return {status}; }}\nwget() {{ echo ' 401 '; return 1; }}\n"
    assert (subprocess.run(["sh", "-c", script + command], check=False).returncode == 0) == ready
