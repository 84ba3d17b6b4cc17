"""files/docker brings the same services up with Docker Compose, without Ansible."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.support.machine import eventually
from tests.support.plays import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.fleet import Fleet
    from tests.support.machine import Machine

pytestmark = pytest.mark.timeout(600)

HOME = "/srv/composed"
IMAGES = {
    f"{name.upper()}_IMAGE": f"ccpo-standin-{name}:debian13"
    for name in ("prometheus", "pushgateway", "alertmanager", "grafana")
}
PASSWORD = "a-password-of-your-own"
# The host has the services already, so this copy takes other names and ports.
ASIDE = r"s/claude-code-\(prom\|push\|alert\|graf\)/composed-\1/; s/- 127.0.0.1:\([39]0\)/- 127.0.0.1:1\1/"
# Asks for an address, or sends what it is given.
ASK = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], data=sys.stdin.buffer.read() or None)
print(urllib.request.urlopen(request, timeout=9).read().decode())
"""


# Asks for an address as Grafana's administrator.
SIGN_IN = """
import base64, sys, urllib.request
known = base64.b64encode(b"admin:" + sys.stdin.buffer.read()).decode()
request = urllib.request.Request(sys.argv[1], headers={"Authorization": "Basic " + known})
print(urllib.request.urlopen(request, timeout=9).read().decode())
"""
PROVISIONED = "grafana/provisioning"
SOURCE = "claude-code-observability.yaml"


def compose(host: Machine, *command: str) -> str:
    """Run Docker Compose on the host with the stand-ins as images."""
    environment = [
        f"{name}={value}" for name, value in (IMAGES | {"GRAFANA_ADMIN_PASSWORD": PASSWORD}).items()
    ]
    arguments = ("docker", "compose", "--file", f"{HOME}/docker/compose.yml", *command)
    return host.run("env", *environment, *arguments, seconds=240)


def asked(host: Machine, path: str) -> Any:
    """Return what Prometheus answers."""
    return json.loads(host.run("python3", "-c", ASK, f"http://127.0.0.1:19090{path}", stdin=""))["data"]


@pytest.fixture(scope="module")
def composed(fleet: Fleet) -> Iterator[Machine]:
    """Bring everything up, wait until it is healthy, and take it down again."""
    host = fleet.monitor
    install = "apt-get -qq update && apt-get -qq install --yes --no-install-recommends docker-compose"
    host.run("sh", "-c", f"{install} && mkdir -p {HOME}", seconds=240)
    for folder in ("docker", "rules", "dashboards"):
        copy = ["docker", "cp", str(ROOT / "files" / folder), f"{host.name}:{HOME}/{folder}"]
        subprocess.run(copy, check=True, capture_output=True, timeout=60)
    changed = ("compose.yml", "prometheus/prometheus.yml", f"{PROVISIONED}/datasources/{SOURCE}")
    host.run("sed", "-i", ASIDE, *(f"{HOME}/docker/{file}" for file in changed))
    try:
        compose(host, "up", "--detach", "--wait")
        yield host
    finally:
        compose(host, "down", "--volumes")


def test_compose_takes_the_file_as_it_is(composed: Machine) -> None:
    compose(composed, "config", "--quiet")
    rows = [json.loads(row) for row in compose(composed, "ps", "--format", "json").splitlines()]
    assert {row["Service"]: row["Health"] for row in rows} == {
        "prometheus": "healthy",
        "pushgateway": "healthy",
        "alertmanager": "healthy",
        "grafana": "healthy",
    }


def test_without_a_password_for_grafana_nothing_is_started(composed: Machine) -> None:
    start = ("docker", "compose", "--file", f"{HOME}/docker/compose.yml", "up", "--detach")
    said = composed.run("sh", "-c", '"$@" 2>&1 || echo refused', "sh", *start)
    assert "write the password that Grafana shall have into files/docker/.env" in said
    assert said.endswith("refused\n")


def test_grafana_shows_the_dashboards_to_who_has_the_password(composed: Machine) -> None:
    answer = composed.run(
        "python3", "-c", SIGN_IN, "http://127.0.0.1:13000/api/search?tag=claude-code", stdin=PASSWORD
    )
    boards = {path.stem for path in (ROOT / "files" / "dashboards").glob("*.json")}
    assert {board["uid"] for board in json.loads(answer)} == {f"claude-code-{name}" for name in boards}


def test_pushed_number_arrives_and_all_rules_are_there(composed: Machine) -> None:
    push = "http://127.0.0.1:19091/metrics/job/claude_code/instance/here"
    composed.run("python3", "-c", ASK, push, stdin="claude_code_composed_total 41\n")
    query = f"/api/v1/query?query={quote('claude_code_composed_total')}"
    result = eventually(lambda: asked(composed, query)["result"], accept=bool, seconds=90)
    assert [(sample["metric"]["instance"], sample["value"][1]) for sample in result] == [("here", "41")]
    up = eventually(
        lambda: asked(composed, "/api/v1/query?query=up")["result"],
        accept=lambda seen: [each["value"][1] for each in seen] == ["1"] * 3,
        seconds=90,
    )
    assert {(each["metric"]["job"], each["value"][1]) for each in up} == {
        ("prometheus", "1"),
        ("pushgateway", "1"),
        ("alertmanager", "1"),
    }
    groups = asked(composed, "/api/v1/rules")["groups"]
    files = {group["file"].rpartition("/")[2] for group in groups}
    assert files == {path.name for path in (ROOT / "files" / "rules").glob("*.yml")}
    assert [rule["name"] for group in groups for rule in group["rules"] if rule["health"] == "err"] == []
