"""The install method docker: what it refuses, and a host that moves from packages to containers and back."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.machine import eventually
from tests.support.plays import Case, container, docker_host, play

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.machine import Machine
    from tests.support.plays import Played

pytestmark = pytest.mark.timeout(1800)

STAND_INS = [f"ccpo-standin-{service}:debian13" for service in ("prometheus", "pushgateway")]
DOCKER: dict[str, Any] = {
    "monitoring_install_method": "docker",
    "docker_engine_manage": True,
    "prometheus_image": STAND_INS[0],
    "pushgateway_image": STAND_INS[1],
}
SIGNS = "/var/lib/claude-code-observability-containers"
UPSTREAM = f"mkdir -p {SIGNS} && printf 3.5.0 >{SIGNS}/claude-code-prometheus"


ALONE: dict[str, Any] = {"trust_enabled": False, "prometheus_exporters": []}


ITSELF = "in a container that is Prometheus itself. Install that service by docker, too, or give an address"
CASES = {
    "all-in-containers": Case("prometheus", DOCKER, ""),
    "no-engine": Case(
        "prometheus",
        {**DOCKER, "docker_engine_manage": False},
        "install and start it, set docker_engine_manage=true to have it from Debian's packages, or choose "
        "the install method apt.",
    ),
    "no-method": Case(
        "prometheus", {"prometheus_install_method": "podman"}, "must be one of: apt, docker, got: podman"
    ),
    "no-image": Case(
        "prometheus",
        {**DOCKER, "prometheus_image": "prometheus"},
        "prometheus is no image: write its name with a tag, a digest or both, as in prom/prometheus:v3.5.0.",
    ),
    "published-on-a-name": Case(
        "prometheus",
        {**DOCKER, "prometheus_listen_address": "monitor:9090", "prometheus_allow_insecure_exposure": True},
        "monitor:9090 names a host: an engine publishes a port on an address",
    ),
    "exposed": Case(
        "prometheus",
        {**DOCKER, "prometheus_listen_address": "0.0.0.0:9090"},
        "Prometheus would listen on 0.0.0.0:9090 without TLS and authentication",
    ),
    "misspelt-extra": Case(
        "prometheus", {**DOCKER, "prometheus_container_extra": {"memroy": "1g"}}, "memroy"
    ),
    "neighbour-is-a-package": Case(
        "prometheus",
        {**DOCKER, "pushgateway_install_method": "apt"},
        f"prometheus_pushgateways has localhost:9091: {ITSELF}",
    ),
    "exporter-on-loopback": Case(
        "prometheus",
        {**DOCKER, "prometheus_exporters": ["exporter-on-loopback"], "claude_exporter_transport": "scrape"},
        "claude_exporter_transport of exporter-on-loopback is scrape, but a Prometheus in a container",
    ),
    "back-with-newer-data": Case(
        "prometheus",
        {},
        "written by Prometheus 3.5.0 in a container, and Debian's, older than 2.55, can't read what 3 wrote",
    ),
    "receiver-on-loopback": Case(
        "alertmanager",
        {**DOCKER, "alertmanager_receivers": [{"name": "a", "webhook_url": "http://127.0.0.1:8099/"}]},
        "Alerts would go to 127.0.0.1:8099, which in a container is Alertmanager itself: name the host "
        "host.docker.internal",
    ),
    "gossip-of-a-container": Case(
        "alertmanager",
        {**DOCKER, "alertmanager_cluster_listen_address": "127.0.0.1:9094"},
        "Alertmanager in a container would tell its peers the address of the container",
    ),
    "data-source-on-loopback": Case(
        "grafana",
        {**DOCKER, "prometheus_install_method": "apt"},
        "grafana_prometheus_url is http://localhost:9090: in a container that is Grafana itself.",
    ),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Played]]:
    """Yield the end of every case's preflight, all on one host without an engine."""
    ends: dict[str, Played] = {}
    with container("ccpo-debian13-systemd", systemd=False, prepare=UPSTREAM) as host:
        for role in sorted({case.role for case in CASES.values()}):
            cases = {name: case for name, case in CASES.items() if case.role == role}
            hosts = {
                name: docker_host(
                    host, **{"trust_enabled": False, "prometheus_exporters": [], **case.variables}
                )
                for name, case in cases.items()
            }
            ends |= play(tmp_path_factory.mktemp(role), hosts, "--tags", "preflight", roles=[role])
        yield ends


@pytest.mark.parametrize("name", CASES)
def test_what_no_container_can_do_is_refused_in_a_sentence_before_anything_is_changed(
    refusals: dict[str, Played], name: str
) -> None:
    end = refusals[name]
    assert CASES[name].sentence in end.failure
    assert bool(end.failure) == bool(CASES[name].sentence), end.failure
    assert end.changed == 0


UNITS = ["prometheus", "prometheus-pushgateway"]
NAMES = "docker ps --format '{{.Names}}' 2>/dev/null | sort"
ENGINE = """
mkdir -p /etc/systemd/system/docker.service.d
printf '[Service]\\nEnvironment=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1\\n' \
    >/etc/systemd/system/docker.service.d/in-a-container.conf
"""
ASK = """
import json, sys, urllib.request
body = sys.argv[2].encode() if len(sys.argv) > 2 else None
request = urllib.request.Request(sys.argv[1], data=body, method="PUT" if body else "GET")
print(urllib.request.urlopen(request, timeout=10).read().decode())
"""


@dataclass
class Moved:
    """A host that went from packages to containers and back, and what was seen on the way."""

    machine: Machine
    runs: dict[str, Played]
    seen: dict[str, Any]

    def ask(self, url: str, *body: str) -> str:
        """Ask a service of the host; with a body, PUT it."""
        return self.machine.run("python3", "-c", ASK, url, *body)

    def samples(self) -> int:
        """Return how many samples of the canary Prometheus has."""
        url = "http://127.0.0.1:9090/api/v1/query?query=count_over_time(moving_canary[1h])"
        found = json.loads(self.ask(url))["data"]["result"]
        return int(found[0]["value"][1]) if found else 0

    def look(self) -> dict[str, Any]:
        """Return who works, and the number that was pushed before all moves."""
        units = self.machine.run(
            "systemctl", "is-active", "prometheus", "prometheus-pushgateway", check=False
        )
        names = self.machine.run(
            "sh", "-c", "docker ps --format '{{.Names}}' 2>/dev/null | sort", check=False
        )
        pushed = [
            line
            for line in self.ask("http://127.0.0.1:9091/metrics").splitlines()
            if line.startswith("moving")
        ]
        return {"units": units.split(), "containers": names.split(), "pushed": pushed}

    def inspect(self, template: str) -> str:
        """Return what the engine says of Prometheus' container."""
        return self.machine.run("docker", "inspect", "--format", template, "claude-code-prometheus").strip()


def bring(machine: Machine, image: str) -> None:
    """Load an image of this machine's engine into the one of the host."""
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as save:
        load = ["docker", "exec", "--interactive", machine.name, "docker", "load"]
        subprocess.run(load, stdin=save.stdout, check=True, capture_output=True, timeout=300)
    assert save.returncode == 0


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    """Yield the host at the end of its way."""
    directory = tmp_path_factory.mktemp("moved")
    roles = ["prometheus", "pushgateway"]
    base = {"trust_enabled": False, "prometheus_scrape_interval": "1s", "prometheus_alertmanagers": []}
    with container("ccpo-debian13-systemd", systemd=True, prepare=ENGINE) as machine:
        # While this lives in the first of the cgroups, engine and systemd leave that one open for commands.
        subprocess.run(
            ["docker", "exec", "--detach", machine.name, "sleep", "infinity"], check=True, timeout=60
        )
        way = Moved(machine, {}, {})

        def step(name: str, *arguments: str, parts: list[str] = roles, **variables: Any) -> None:
            host = {"moving": docker_host(machine, **base, **variables)}
            way.runs[name] = play(directory, host, *arguments, roles=parts, seconds=900)["moving"]
            assert way.runs[name].failure == "", f"{name}: {way.runs[name].failure}"

        step("check on a bare host", "--check", **DOCKER)
        step("packages")
        way.ask("http://127.0.0.1:9091/metrics/job/moving/instance/x", "moving_canary 42\n")
        way.seen["scraped"] = eventually(way.samples, accept=bool, seconds=60)
        way.seen["packages"] = way.look()
        step("engine", parts=["docker_engine"], docker_engine_manage=True)
        for image in STAND_INS:
            bring(machine, image)
        step("containers", **DOCKER)
        way.seen["containers"] = way.look()
        way.seen["kept"] = way.samples()
        way.seen["id"] = way.inspect("{{.Id}} {{.State.StartedAt}}")
        step("reload", **DOCKER, prometheus_external_labels={"fleet": "moved"}, parts=["prometheus"])
        way.seen["id after reload"] = way.inspect("{{.Id}} {{.State.StartedAt}}")
        way.seen["loaded"] = way.ask("http://127.0.0.1:9090/api/v1/status/config")
        way.seen["before going back"] = way.samples()
        step("back")
        way.seen["back"] = way.look()
        yield way


PUSHED = ['moving_canary{instance="x",job="moving"} 42']


def test_check_mode_on_a_bare_host_says_what_it_can_and_fails_at_nothing(moved: Moved) -> None:
    assert moved.runs["check on a bare host"].changed > 0
    assert moved.seen["packages"]["containers"] == []


def test_containers_take_over_from_packages_and_keep_every_number(moved: Moved) -> None:
    assert moved.seen["packages"] == {"units": ["active", "active"], "containers": [], "pushed": PUSHED}
    assert moved.seen["containers"] == {
        "units": ["inactive", "inactive"],
        "containers": ["claude-code-prometheus", "claude-code-pushgateway"],
        "pushed": PUSHED,
    }
    assert moved.seen["kept"] >= moved.seen["scraped"] > 0


def test_changed_configuration_is_read_without_another_container_or_another_start(moved: Moved) -> None:
    assert moved.seen["id after reload"] == moved.seen["id"]
    assert "fleet: moved" in moved.seen["loaded"]


def test_packages_take_over_from_containers_and_keep_every_number(moved: Moved) -> None:
    assert moved.seen["back"] == {"units": ["active", "active"], "containers": [], "pushed": PUSHED}
    assert moved.samples() >= moved.seen["before going back"]
    assert moved.machine.run("sh", "-c", f"ls {SIGNS} 2>&1 || true").startswith("ls: cannot access")
    assert "claude-code" not in moved.machine.run("docker", "network", "ls")
