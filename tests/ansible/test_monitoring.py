"""The monitoring host's roles on Debian 13 and 12 under systemd with TLS, and on a host without systemd."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.machine import eventually
from tests.support.plays import container, docker_host, play

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.machine import Machine
    from tests.support.plays import Played

pytestmark = pytest.mark.timeout(1800)

ROLES = ["trust", "prometheus", "pushgateway", "alertmanager"]
PORTS = {"prometheus": 9090, "pushgateway": 9091, "alertmanager": 9093}
UNITS = {name: name if name == "prometheus" else f"prometheus-{name}" for name in PORTS}
SECRET = "canary-of-a-secret"
OVERRIDES: dict[str, Any] = {
    "prometheus_retention_time": "12d",
    "prometheus_retention_size": "3GB",
    "prometheus_scrape_interval": "1s",
    "prometheus_evaluation_interval": "2s",
    "prometheus_external_labels": {"fleet": "test"},
    "prometheus_external_url": "https://example.com/p",
    "prometheus_start_seconds": 40,
    "prometheus_budgets": [{"team": "data", "day": 80, "month": 1200.5}],
    "prometheus_scrape_configs_extra": [
        {"job_name": "more", "static_configs": [{"targets": ["localhost:1"]}]}
    ],
    "prometheus_flags_extra": {"query.max-samples": 1234567, "web.enable-lifecycle": True},
    "prometheus_remote_write": [
        {"url": "http://localhost:2/w", "basic_auth": {"username": "u", "password": SECRET}}
    ],
    "pushgateway_persistence_interval": "7s",
    "alertmanager_retention": "50h",
    "alertmanager_receivers": [
        {"name": "ops", "slack_url": f"https://hooks.example.com/{SECRET}", "slack_channel": "#ops"},
        {"name": "page", "pagerduty_key": SECRET},
        {"name": "bot", "webhook_url": f"https://bot.example.com/{SECRET}"},
        {"name": "mail", "email_to": "a@example.com"},
    ],
    "alertmanager_smtp": {
        "smarthost": "localhost:25",
        "from": "b@example.com",
        "username": "u",
        "password": SECRET,
    },
    "alertmanager_default_receiver": "bot",
    "alertmanager_severity_receivers": {"critical": "page"},
    "alertmanager_team_receivers": {"data": "ops"},
}

# Asks as a client would: CA, user, password, lowest TLS; prints the status and the body.
CLIENT = """
import json, ssl, sys, urllib.error, urllib.request
import base64
ask = json.load(sys.stdin)
context = None
if ask["url"].startswith("https"):
    context = ssl.create_default_context(cafile=ask["ca"])
    if ask["tls11"]:
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
headers = {"Content-Type": "application/json"} if ask["json"] else {}
if ask["user"]:
    headers["Authorization"] = "Basic " + base64.b64encode(":".join(ask["user"]).encode()).decode()
body = ask["body"].encode() if ask["body"] else None
request = urllib.request.Request(ask["url"], headers=headers, data=body, method=ask["method"])
try:
    answer = urllib.request.urlopen(request, context=context, timeout=10)
    print(json.dumps([answer.status, answer.read().decode()]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, ""]))
except (OSError, ssl.SSLError) as error:
    print(json.dumps([0, str(error)]))
"""


@dataclass
class Site:
    """Hosts that have been converged, the runs that did it, and how to reach their services."""

    directory: Path
    machines: dict[str, Machine]
    hosts: dict[str, dict[str, Any]]
    runs: dict[str, dict[str, Played]] = field(default_factory=dict)

    def play(self, run: str, *arguments: str) -> None:
        """Play the roles on all hosts and keep the ends under a name."""
        self.runs[run] = play(self.directory, self.hosts, *arguments, roles=ROLES)

    def tls(self, host: str) -> bool:
        """Say whether a host has TLS and authentication."""
        return bool(self.hosts[host].get("trust_enabled", True))

    def ask(
        self,
        host: str,
        service: str,
        path: str,
        *,
        password: str | None = None,
        ca: str = "",
        tls11: bool = False,
        method: str = "GET",
        body: str = "",
        scheme: str = "",
    ) -> tuple[int, str]:
        """Ask a service from its own host; by default as a client that knows CA and password."""
        kept = self.directory / ".trust/passwords" / service
        user = [service, kept.read_text().strip() if password is None else password] if self.tls(host) else []
        scheme = scheme or ("https" if self.tls(host) else "http")
        ask = {
            "url": f"{scheme}://127.0.0.1:{PORTS[service]}{path}",
            "ca": ca or f"/etc/claude-code-observability-trust/{service}/ca.crt",
            "user": user if password != "" else [],
            "tls11": tls11,
            "method": method,
            "body": body,
            "json": body.startswith("{"),
        }
        machine = self.machines[host]
        status, text = json.loads(machine.run("python3", "-c", CLIENT, stdin=json.dumps(ask)))
        return status, text

    def prometheus(self, host: str, path: str) -> Any:
        """Return the data of Prometheus' API."""
        status, text = self.ask(host, "prometheus", f"/api/v1/{path}")
        assert status == 200, text
        return json.loads(text)["data"]

    def restart(self, host: str, service: str) -> None:
        """Restart a service as an operator would where systemd runs."""
        self.machines[host].run("systemctl", "restart", UNITS[service])
        ready = eventually(
            lambda: self.ask(host, service, "/-/ready")[0], accept=lambda status: status == 200, seconds=30
        )
        assert ready == 200

    def pid(self, host: str) -> str:
        """Return Prometheus' process number."""
        return self.machines[host].run("systemctl", "show", "--property=MainPID", "--value", "prometheus")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Yield the three hosts after a check, a first and a second run."""
    with (
        container("ccpo-debian13-systemd", systemd=True) as d13,
        container("ccpo-debian12-systemd", systemd=True) as d12,
        container("ccpo-debian13-systemd", systemd=False) as bare,
    ):
        hosts = {
            "d13": docker_host(d13, prometheus_scrape_interval="1s"),
            "d12": docker_host(d12, **OVERRIDES),
            "bare": docker_host(bare, trust_enabled=False, prometheus_scrape_interval="1s"),
        }
        machines = {"d13": d13, "d12": d12, "bare": bare}
        site = Site(tmp_path_factory.mktemp("site"), machines, hosts)
        site.play("bare check", "--check")
        site.play("first", "--diff")
        site.play("second", "--diff")
        yield site


HOSTS = ["d13", "d12", "bare"]
SYSTEMD_HOSTS = ["d13", "d12"]
SERVICES = list(PORTS)


def test_every_run_ends_well_and_only_the_first_changes_anything(site: Site) -> None:
    failures = {(run, host): end.failure for run, ends in site.runs.items() for host, end in ends.items()}
    assert {key: failure for key, failure in failures.items() if failure} == {}
    assert {host: end.changes for host, end in site.runs["second"].items()} == {host: [] for host in HOSTS}
    assert all(end.changed for end in site.runs["first"].values())


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("host", HOSTS)
def test_every_service_is_ready(site: Site, *, host: str, service: str) -> None:
    assert site.ask(host, service, "/-/ready")[0] == 200


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("host", SYSTEMD_HOSTS)
def test_who_has_no_password_no_encryption_or_another_authority_stays_outside(
    site: Site, *, host: str, service: str
) -> None:
    assert site.ask(host, service, "/metrics", password="")[0] == 401
    assert site.ask(host, service, "/metrics", password="wrong")[0] == 401
    assert site.ask(host, service, "/metrics", scheme="http", password="")[0] == 400
    assert site.ask(host, service, "/metrics", tls11=True)[0] == 0
    assert (
        "CERTIFICATE_VERIFY_FAILED"
        in site.ask(host, service, "/metrics", ca="/etc/ssl/certs/ca-certificates.crt")[1]
    )


def test_one_host_by_itself_listens_on_loopback_alone(site: Site) -> None:
    lines = site.machines["bare"].run("ss", "-Hltn").splitlines()
    assert sorted(line.split()[3] for line in lines) == ["127.0.0.1:9090", "127.0.0.1:9091", "127.0.0.1:9093"]


@pytest.mark.parametrize("host", HOSTS)
def test_prometheus_scrapes_itself_the_pushgateway_and_alertmanager(site: Site, host: str) -> None:
    def up() -> dict[str, str]:
        found = site.prometheus(host, "query?query=up")["result"]
        return {one["metric"]["job"]: one["value"][1] for one in found if one["metric"]["job"] in PORTS}

    expected = dict.fromkeys(PORTS, "1")
    assert eventually(up, accept=lambda seen: seen == expected, seconds=30) == expected


@pytest.mark.parametrize("host", SYSTEMD_HOSTS)
@pytest.mark.parametrize("service", SERVICES)
def test_every_daemon_is_in_a_sandbox(site: Site, *, host: str, service: str) -> None:
    said = site.machines[host].run("systemd-analyze", "security", "--no-pager", f"{UNITS[service]}.service")
    exposure = float(said.rsplit("service: ", 1)[1].split()[0])
    assert exposure <= 2.0


@pytest.mark.parametrize("host", HOSTS)
def test_nobody_else_reads_what_is_secret(site: Site, host: str) -> None:
    where = "/etc/claude-code-observability-trust /etc/prometheus"
    others = f"find {where} -type f -perm /o+r ! -name '*.before-*' ! -path '*/console*' ! -name '*.md'"
    secret = "PRIVATE KEY|password: |https://hooks|\\$2b\\$|" + SECRET
    found = site.machines[host].run("sh", "-c", f"{others} -exec grep -lE '{secret}' {{}} + || :")
    assert found == ""
    if site.tls(host):
        listing = site.machines[host].run(
            "find", "/etc/claude-code-observability-trust", "-type", "f", "-printf", "%U %g %m\n"
        )
        assert set(listing.splitlines()) == {"0 prometheus 640"}


def test_links_lead_where_people_reach_the_service(site: Site) -> None:
    urls = {host: site.prometheus(host, "status/flags")["web.external-url"] for host in ("d13", "bare")}
    assert urls == {"d13": f"https://{site.machines['d13'].name}:9090", "bare": "http://127.0.0.1:9090"}


def test_values_of_the_inventory_win(site: Site) -> None:
    flags = site.prometheus("d12", "status/flags")
    assert flags["storage.tsdb.retention.time"] == "12d"
    assert flags["storage.tsdb.retention.size"] in {"3GB", "3GiB"}
    assert flags["query.max-samples"] == "1234567"
    assert flags["web.enable-lifecycle"] == "true"
    assert flags["web.external-url"] == "https://example.com/p"
    config = yaml.safe_load(site.prometheus("d12", "status/config")["yaml"])
    assert config["global"]["evaluation_interval"] == "2s"
    assert config["global"]["external_labels"] == {"fleet": "test"}
    assert "more" in [job["job_name"] for job in config["scrape_configs"]]
    assert [target["url"] for target in config["remote_write"]] == ["http://localhost:2/w"]
    arguments = site.machines["d12"].run("pgrep", "-a", "prometheus")
    assert "--persistence.interval=7s" in arguments
    assert "--data.retention=50h" in arguments


def test_budgets_become_series(site: Site) -> None:
    def budgets() -> dict[str, str]:
        found = site.prometheus("d12", "query?query=claude_code_team_budget_usd")["result"]
        return {one["metric"]["team"] + " " + one["metric"]["period"]: one["value"][1] for one in found}

    expected = {"data day": "80", "data month": "1200.5"}
    assert eventually(budgets, accept=lambda seen: seen == expected, seconds=20) == expected


def told(machine: Machine, *labels: str) -> str:
    """Return who is told of an alert with these labels, as the Alertmanager's own tool says it."""
    routes = ("amtool", "config", "routes", "test", "--config.file=/etc/prometheus/alertmanager.yml")
    return machine.run(*routes, *labels).strip()


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["severity=critical", "team=data"], "page,ops"),
        (["severity=critical", "team=x"], "page"),
        (["severity=warning", "team=data"], "ops"),
        (["severity=warning", "team=x"], "bot"),
    ],
)
def test_alerts_reach_severity_and_team(site: Site, *, labels: list[str], receivers: str) -> None:
    assert told(site.machines["d12"], *labels) == receivers


def test_by_default_nobody_is_told(site: Site) -> None:
    assert told(site.machines["d13"], "severity=x") == "nobody"


def test_pushed_groups_and_silences_survive_a_restart(site: Site) -> None:
    pushed = site.ask("d13", "pushgateway", "/metrics/job/j/instance/i", method="PUT", body="kept 42\n")
    assert pushed[0] == 200
    silence = {
        "matchers": [{"name": "team", "value": "x", "isRegex": False, "isEqual": True}],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "test",
        "comment": "kept",
    }
    assert (
        site.ask("d13", "alertmanager", "/api/v2/silences", method="POST", body=json.dumps(silence))[0] == 200
    )
    site.restart("d13", "pushgateway")
    site.restart("d13", "alertmanager")
    assert 'kept{instance="i",job="j"} 42' in site.ask("d13", "pushgateway", "/metrics")[1]
    kept = json.loads(site.ask("d13", "alertmanager", "/api/v2/silences")[1])
    assert [one["comment"] for one in kept] == ["kept"]


def test_configuration_is_reloaded_flags_restart_and_rubbish_is_not_installed(site: Site) -> None:
    before = site.pid("d13")
    site.hosts["d13"]["prometheus_external_labels"] = {"seen": "reload"}
    site.play("reload", "--limit", "d13,bare")
    assert site.runs["reload"]["d13"].failure == ""
    assert site.pid("d13") == before
    assert "seen: reload" in site.prometheus("d13", "status/config")["yaml"]

    site.hosts["d13"]["prometheus_retention_time"] = "33d"
    site.hosts["bare"]["prometheus_retention_time"] = "34d"
    site.play("restart", "--limit", "d13,bare")
    assert [site.runs["restart"][host].failure for host in ("d13", "bare")] == ["", ""]
    assert site.pid("d13") != before
    kept = [site.prometheus(host, "status/flags")["storage.tsdb.retention.time"] for host in ("d13", "bare")]
    assert kept == ["33d", "34d"]

    site.hosts["d13"]["prometheus_scrape_configs_extra"] = [{"job_name": "x", "nonsense": 1}]
    site.play("rubbish", "--limit", "d13")
    assert "failed to validate" in site.runs["rubbish"]["d13"].failure
    assert "nonsense" not in site.machines["d13"].run("cat", "/etc/prometheus/prometheus.yml")
    del site.hosts["d13"]["prometheus_scrape_configs_extra"]
