"""The role claude_exporter: what it refuses, and that what it installs works, stays, and survives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.machine import eventually
from tests.support.plays import container, docker_host, play

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.machine import Machine
    from tests.support.plays import Played

TAKEN = "python3 -m http.server 4318 --bind 127.0.0.1 >/dev/null 2>&1 &"
REFUSED = "the exporter cannot work with claude_exporter_* as set: "
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "nothing-said": ({"claude_exporter_otlp_listen": "127.0.0.1:14318"}, ""),
    "port-taken": ({}, "Port 4318 of port-taken is taken by /usr/bin/python3"),
    "misspelt": (
        {"claude_exporter_lables": {"team": "data"}},
        "claude_exporter_lables is not a variable of role claude_exporter: did you mean claude_exporter_l",
    ),
    "wrong-type": (
        {"claude_exporter_max_projects": "many"},
        "argument 'claude_exporter_max_projects' is of type",
    ),
    "wrong-choice": (
        {"claude_exporter_transport": "smoke"},
        "value of claude_exporter_transport must be one of",
    ),
    "number-as-label": (
        {"claude_exporter_labels": {"cost_center": 4711}},
        REFUSED + 'labels must be a JSON object whose values are texts; it is {"cost_center": 4711}.',
    ),
    "label-of-ours": (
        {"claude_exporter_labels": {"project": "x"}},
        REFUSED + "the label 'project' cannot be put on every series",
    ),
    "open-otlp": (
        {"claude_exporter_otlp_listen": "0.0.0.0:4318"},
        REFUSED + "otlp_listen 0.0.0.0:4318 would let other hosts write into the numbers",
    ),
    "exposed": (
        {"claude_exporter_listen": "0.0.0.0:9468"},
        REFUSED + "listen 0.0.0.0:9468 is not on loopback and needs web_config with TLS and users.",
    ),
    "hashed-without-key": (
        {"claude_exporter_user_label": "hashed"},
        REFUSED + "user_label or project_label is hashed and needs hash_key_file.",
    ),
    "no-url": (
        {"claude_exporter_pushgateway_url": "monitor:9091"},
        REFUSED + "pushgateway.url must be http://HOST:PORT or https://HOST:PORT",
    ),
}
METRICS = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:9468/metrics", timeout=10).read().decode())
"""
KILL = """
import os, pathlib, signal, time
def found():
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if b"claude_code_exporter\\0--config" in (path / "cmdline").read_bytes():
                return int(path.name)
        except OSError:
            pass
    return 0
first = found()
os.kill(first, signal.SIGKILL)
until = time.monotonic() + 20
while time.monotonic() < until and found() in (0, first):
    time.sleep(0.1)
print("again" if found() not in (0, first) else "gone")
"""


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Played]]:
    """Play the preflight once, every case a host of its own in the same container."""
    with container("ccpo-debian13-systemd", systemd=False, prepare=TAKEN) as machine:
        hosts = {
            name: docker_host(machine, **{"trust_enabled": False, **variables})
            for name, (variables, _) in CASES.items()
        }
        directory = tmp_path_factory.mktemp("refusals")
        yield play(directory, hosts, "--tags", "preflight", roles=["claude_exporter"])


@pytest.mark.parametrize("name", CASES)
def test_what_makes_no_sense_is_refused_in_a_sentence_before_anything_is_changed(
    ends: dict[str, Played], name: str
) -> None:
    sentence = CASES[name][1]
    assert ends[name].changed == 0
    if sentence:
        assert sentence in ends[name].failure
    else:
        assert ends[name].failure == ""


@pytest.mark.parametrize(
    ("image", "systemd"), [("ccpo-debian13-systemd", True), ("ccpo-debian12-systemd", False)]
)
def test_it_is_installed_once_counts_and_comes_back(
    tmp_path_factory: pytest.TempPathFactory, image: str, *, systemd: bool
) -> None:
    """No Pushgateway is there: the play says so and goes on, for the numbers wait."""
    directory = tmp_path_factory.mktemp("whole")
    with container(image, systemd=systemd) as machine:
        host = {
            "dev": docker_host(
                machine,
                trust_enabled=False,
                claude_exporter_labels={"team": "data"},
                claude_exporter_canary_interval=600,
            )
        }
        first = play(directory, host, roles=["claude_exporter"])["dev"]
        assert first.failure == ""
        assert first.changed > 0
        assert canaries(machine) == 1
        for arguments in ([], ["--check"]):
            again = play(directory, host, *arguments, roles=["claude_exporter"])["dev"]
            assert (again.failure, again.changes) == ("", [])
        counted = canaries(machine)
        assert counted == 2
        if systemd:
            assert machine.run("python3", "-c", KILL).strip() == "again"
        else:
            machine.run("/etc/init.d/claude-code-exporter", "restart")
        selfcheck(machine)
        assert canaries(machine) == counted + 1
        modes = machine.run("stat", "--format", "%a %U %n", *MODES).splitlines()
        assert modes == [f"{mode} {owner} {path}" for path, (mode, owner) in MODES.items()]


STATE = "/var/lib/claude-code-observability"
PROGRAM = "/usr/local/lib/claude-code-observability/exporter/claude_code_exporter"
CONFIG = "/etc/claude-code-observability/exporter.json"
MODES = {
    f"{STATE}/journal": ("3773", "claude-exporter"),
    f"{STATE}/ledger": ("700", "claude-exporter"),
    f"{STATE}/ledger/ledger.sqlite": ("600", "claude-exporter"),
    CONFIG: ("640", "root"),
    f"{PROGRAM}/daemon.py": ("644", "root"),
}


def canaries(machine: Machine) -> float:
    """Return how many synthetic events the host's exporter has counted."""
    page = machine.run("python3", "-c", METRICS)
    return float(page.partition('\nclaude_code_canary_events_total{team="data"} ')[2].partition("\n")[0])


def selfcheck(machine: Machine) -> None:
    """Have the exporter check itself, and say that the Pushgateway is away."""
    said = machine.run("python3", "-I", PROGRAM, "--config", CONFIG, "--selfcheck", "20")
    assert said.startswith("the Pushgateway http://127.0.0.1:9091 cannot be reached: ")
    assert json.loads(machine.run("cat", CONFIG))["transport"] == "pushgateway"


GUARD = "/usr/local/lib/claude-code-observability/hooks/pre_tool_use.py"
INTERVAL = 2
SOON = 20.0  # what a busy machine may take beyond the interval


def guard_effective(machine: Machine) -> str:
    """Return what the host's exporter shows of the guard, or nothing."""
    page = machine.run("python3", "-c", METRICS)
    return page.partition("\nclaude_code_guard_effective ")[2].partition("\n")[0]


@pytest.mark.parametrize(
    ("image", "systemd"),
    [("ccpo-debian13-systemd", True), ("ccpo-debian12-systemd", True), ("ccpo-debian12-systemd", False)],
)
def test_the_metric_of_the_guard_is_true_of_the_installed_guard(
    tmp_path_factory: pytest.TempPathFactory, image: str, *, systemd: bool
) -> None:
    """The exporter starts the guard from inside its sandbox."""
    with container(image, systemd=systemd) as machine:
        host = {
            "dev": docker_host(machine, trust_enabled=False, claude_exporter_guard_interval=INTERVAL),
        }
        played = play(
            tmp_path_factory.mktemp("guard"), host, roles=["claude_hooks", "claude_exporter"], seconds=400
        )
        assert played["dev"].failure == ""

        def shown(expected: str) -> str:
            return eventually(
                lambda: guard_effective(machine),
                accept=lambda seen: seen == expected,
                seconds=INTERVAL + SOON,
            )

        assert shown("1.0") == "1.0"
        machine.run("mv", GUARD, f"{GUARD}.away")
        assert shown("0.0") == "0.0"
        machine.run("mv", f"{GUARD}.away", GUARD)
        assert shown("1.0") == "1.0"
