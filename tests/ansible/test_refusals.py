"""What the monitoring host's roles refuse, in one sentence and before they change anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.plays import Case, container, docker_host, play

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.machine import Machine
    from tests.support.plays import Played


TAKEN = "python3 -m http.server 9090 --bind 127.0.0.1 >/dev/null 2>&1 &"
EXPOSED = "would listen on 0.0.0.0:{} without TLS and authentication: leave trust_enabled on, give {}"
WEB_TLS = {"tls_server_config": {"cert_file": "/c", "key_file": "/k"}}
CASES = {
    "nothing-said": Case("pushgateway", {}, ""),
    "another-port": Case("prometheus", {"prometheus_listen_address": "127.0.0.1:19090"}, ""),
    "port-taken": Case("prometheus", {}, "Port 9090 of port-taken is taken by /usr/bin/python3"),
    "misspelt": Case(
        "prometheus",
        {"prometheus_retension_time": "3d"},
        "prometheus_retension_time is not a variable of role prometheus: did you mean prometheus_retention_t",
    ),
    "misspelt-push": Case(
        "pushgateway",
        {"pushgateway_listen_adress": ":1"},
        "pushgateway_listen_adress is not a variable of role pushgateway: did you mean pushgateway_listen_ad",
    ),
    "type-list": Case(
        "prometheus",
        {"prometheus_scrape_configs_extra": "job"},
        "Elements value for option 'prometheus_scrape_configs_extra' is of type str",
    ),
    "type-int": Case(
        "prometheus", {"prometheus_start_seconds": "soon"}, "argument 'prometheus_start_seconds' is of type"
    ),
    "budget-without-team": Case(
        "prometheus", {"prometheus_budgets": [{"day": 3}]}, "missing required arguments: team"
    ),
    "write-in-the-clear": Case(
        "prometheus",
        {"prometheus_remote_write": [{"url": "http://metrics.example.com/api/v1/write"}]},
        "prometheus_remote_write, entry 1: numbers would travel to metrics.example.com unencrypted",
    ),
    "store-misspelt": Case(
        "prometheus",
        {"prometheus_remote_write": [{"ulr": "https://metrics.example.com/"}]},
        "prometheus_remote_write, entry 1: there is no setting ulr; did you mean url?",
    ),
    "no-address": Case(
        "prometheus",
        {"prometheus_listen_address": "9090"},
        "prometheus_listen_address is 9090: write host:port, as in 127.0.0.1:9090.",
    ),
    "no-duration": Case(
        "prometheus",
        {"prometheus_retention_time": "long"},
        "prometheus_retention_time is long: write a duration, as in 90d.",
    ),
    "flag-with-blank": Case(
        "prometheus",
        {"prometheus_flags_extra": {"web.page-title": "two words"}},
        "prometheus_flags_extra: The value of the flag web.page-title must have no blank",
    ),
    "exposed": Case(
        "prometheus",
        {"prometheus_listen_address": "0.0.0.0:19090"},
        EXPOSED.format(19090, "prometheus_web_config"),
    ),
    "exposed-push": Case(
        "pushgateway",
        {"pushgateway_listen_address": "0.0.0.0:9091"},
        EXPOSED.format(9091, "pushgateway_web_config"),
    ),
    "exposed-alerts": Case(
        "alertmanager",
        {"alertmanager_listen_address": "0.0.0.0:9093"},
        EXPOSED.format(9093, "alertmanager_web_config"),
    ),
    "tls-without-users": Case(
        "pushgateway",
        {"pushgateway_listen_address": "0.0.0.0:9091", "pushgateway_web_config": WEB_TLS},
        EXPOSED.format(9091, "pushgateway_web_config"),
    ),
    "exposed-and-wanted": Case(
        "pushgateway",
        {"pushgateway_listen_address": "0.0.0.0:9091", "pushgateway_allow_insecure_exposure": True},
        "",
    ),
    "exposed-with-trust": Case(
        "pushgateway", {"pushgateway_listen_address": "0.0.0.0:9091", "trust_enabled": True}, ""
    ),
    "gossip": Case(
        "alertmanager",
        {"alertmanager_cluster_listen_address": "0.0.0.0:9094"},
        "Alertmanager would gossip on 0.0.0.0:9094 without TLS",
    ),
    "nobody-there": Case(
        "alertmanager",
        {"alertmanager_team_receivers": {"data": "ghost"}},
        "Routes name receivers that alertmanager_receivers does not have: ghost.",
    ),
    "mail-without-server": Case(
        "alertmanager",
        {"alertmanager_receivers": [{"name": "a", "email_to": "a@b"}]},
        "A receiver has email_to, but alertmanager_smtp names no mail server.",
    ),
    "half-a-certificate": Case(
        "trust",
        {"trust_certificate_file": "/c"},
        "trust_ca_file, trust_certificate_file and trust_key_file belong together",
    ),
}
OLD = 'sed -i \'s/^VERSION_ID=.*/VERSION_ID="11"/; s/^VERSION=.*/VERSION="11 (bullseye)"/\' /etc/os-release'
OLD += "; echo 11.9 >/etc/debian_version"


@pytest.fixture(scope="module")
def host() -> Iterator[Machine]:
    """Yield a Debian 13 on which something foreign holds Prometheus' port."""
    with container("ccpo-debian13-systemd", systemd=False, prepare=TAKEN) as machine:
        yield machine


@pytest.fixture(scope="module")
def ends(host: Machine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    """Play each role's preflight once, every case a host of its own in the same container."""
    result: dict[str, Played] = {}
    for role in sorted({case.role for case in CASES.values()}):
        directory = tmp_path_factory.mktemp(role)
        hosts = {
            name: docker_host(host, **{"trust_enabled": False, **case.variables})
            for name, case in CASES.items()
            if case.role == role
        }
        result |= play(directory, hosts, "--tags", "preflight", roles=[role])
    return result


@pytest.mark.parametrize("name", CASES)
def test_what_makes_no_sense_is_refused_in_a_sentence_and_the_rest_passes(
    ends: dict[str, Played], name: str
) -> None:
    if CASES[name].sentence:
        assert CASES[name].sentence in ends[name].failure
    else:
        assert ends[name].failure == ""


def test_no_refusal_changes_the_host(ends: dict[str, Played], host: Machine) -> None:
    assert {name: end.changed for name, end in ends.items() if end.changed} == {}
    assert host.run("sh", "-c", "ls -d /etc/prometheus /etc/claude-code-observability-trust || :") == ""


def test_a_debian_that_is_not_supported_is_refused(tmp_path: Path) -> None:
    with container("ccpo-debian13-systemd", systemd=False, prepare=OLD) as machine:
        end = play(tmp_path, {"old": docker_host(machine)}, "--tags", "preflight", roles=["prometheus"])[
            "old"
        ]
    assert end.failure == (
        "old runs Debian 11.9; only Debian 12 and 13 are supported. "
        "Take the host out of the inventory or upgrade it."
    )
