"""Role grafana, with a stand-in package from a signed repository of the test's own, with systemd and without.

Grafana's own server is in no public index but its own repository.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from tests.support.machine import Machine
from tests.support.plays import BOOT, QUICKLY, ROOT, SYSTEMD

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(600)
STAND_IN = ROOT / "tests" / "support" / "grafana_stand_in"
PLAYBOOK = """
- hosts: monitoring
  gather_facts: true
  gather_subset: [min]
  tasks:
    - ansible.builtin.include_role:
        name: grafana
"""
IMAGES = {"debian-12": "ccpo-debian12", "debian-13-systemd": "ccpo-debian13-systemd"}
# What does not depend on the host is shown on one of them.
ON_12 = pytest.mark.parametrize("host", ["debian-12"], indirect=True)
ON_13 = pytest.mark.parametrize("host", ["debian-13-systemd"], indirect=True)
REPOSITORY = "file:/srv/stand-in"
OWN = "/etc/grafana/claude-code-observability"
NOWHERE = {"grafana_apt_url": "http://127.0.0.1:9/none"}
ASK = """
import base64, json, sys, urllib.error, urllib.request
request = urllib.request.Request("http://127.0.0.1:3000" + sys.argv[1])
if len(sys.argv) > 2:
    known = base64.b64encode(f"admin:{sys.argv[2]}".encode()).decode()
    request.add_header("Authorization", f"Basic {known}")
try:
    print(urllib.request.urlopen(request, timeout=10).read().decode())
except urllib.error.HTTPError as error:
    print(error.status)
"""


def _strict(required: dict[str, str], optional: dict[str, str] | None = None) -> dict[str, Any]:
    kinds = {**required, **(optional or {})}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": sorted(required),
        "properties": {name: {"type": kind} for name, kind in kinds.items()},
    }


def _file(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    entries = {"type": "array", "minItems": 1, "items": entry}
    whole = _strict({"apiVersion": "integer", name: "array"})
    return whole | {"properties": {"apiVersion": {"const": 1}, name: entries}}


# Grafana's documentation of provisioning, as far as we use it.
PROVISIONING = {
    "datasources": _file(
        "datasources",
        _strict(
            {"name": "string", "type": "string", "access": "string", "url": "string"},
            {
                "uid": "string",
                "orgId": "integer",
                "isDefault": "boolean",
                "editable": "boolean",
                "basicAuth": "boolean",
                "basicAuthUser": "string",
                "jsonData": "object",
                "secureJsonData": "object",
            },
        ),
    ),
    "dashboards": _file(
        "providers",
        _strict(
            {"name": "string", "type": "string", "options": "object"},
            {
                "orgId": "integer",
                "folder": "string",
                "folderUid": "string",
                "disableDeletion": "boolean",
                "allowUiUpdates": "boolean",
                "updateIntervalSeconds": "integer",
            },
        ),
    ),
}


class Host(Machine):
    """A monitoring host to be, and the play that deploys on it."""

    def play(self, *arguments: str, **variables: object) -> tuple[int, str]:
        """Run the role; return exit status and output with single blanks."""
        given: dict[str, object] = {
            "grafana_apt_url": REPOSITORY,
            "ansible_connection": "docker",
        }
        given |= {
            "ansible_host": self.name,
            "ansible_python_interpreter": "/usr/bin/python3",
            "trust_enabled": False,
        }
        inventory = {"monitoring": {"hosts": {"mon": {**given, **variables}}}}
        directory = Path(os.environ.get("PYTEST_TMP", "/tmp"))
        hosts, book = directory / f"{self.name}.yml", directory / f"{self.name}-play.yml"
        hosts.write_text(yaml.safe_dump(inventory))
        book.write_text(PLAYBOOK)
        done = subprocess.run(
            ["ansible-playbook", "-i", str(hosts), *arguments, str(book)],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
            | {"ANSIBLE_ROLES_PATH": str(ROOT / "roles"), **QUICKLY},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    def ask(self, path: str, password: str = "") -> Any:
        """Return Grafana's answer to a GET, or the status where it is an error."""
        return json.loads(self.run("python3", "-c", ASK, path, *([password] if password else [])))

    def state(self, path: str) -> str:
        """Return owner, group and mode of a file."""
        return self.run("stat", "-c", "%U:%G %a", path).strip()

    def password(self) -> str:
        """Return the administrator's password that is on the host."""
        return self.run("cat", f"{OWN}/admin-password").strip()


@pytest.fixture(scope="module", params=sorted(IMAGES))
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    image = IMAGES[request.param]
    machine = Host(f"ccpo-grafana-{request.param}-{os.getpid()}")
    boots = image.endswith("systemd")
    command = ["/bin/sh", "-c", BOOT] if boots else ["sleep", "infinity"]
    options = SYSTEMD if boots else ("--init",)
    run = ["docker", "run", "--detach", "--rm", "--name", machine.name, *options, f"{image}:latest", *command]
    subprocess.run(run, check=True, capture_output=True, timeout=60)
    try:
        machine.run(
            "sh",
            "-c",
            "apt-get -q update && apt-get -qy install python3 python3-apt gpg gpg-agent",
            seconds=200,
        )
        copy = ["docker", "cp", str(STAND_IN), f"{machine.name}:/srv/here"]
        subprocess.run(copy, check=True, capture_output=True, timeout=60)
        machine.run("/srv/here/build", "/srv/here", "/srv/stand-in", "11.0.0", "11.6.0", seconds=60)
        yield machine
    finally:
        subprocess.run(
            ["docker", "rm", "--force", machine.name], check=False, capture_output=True, timeout=60
        )


def test_where_the_repository_cannot_be_reached_nothing_is_changed_and_the_remedy_is_named(
    host: Host,
) -> None:
    status, output = host.play(**NOWHERE)
    assert status != 0
    assert "Its repository http://127.0.0.1:9/none cannot be reached from mon" in output
    assert "grafana_unreachable: skip" in output
    assert "changed=0" in output


def test_or_grafana_is_left_out_and_the_play_says_so(host: Host) -> None:
    status, output = host.play(**NOWHERE, grafana_unreachable="skip")
    assert status == 0, output
    assert "Left out: Grafana. Its repository http://127.0.0.1:9/none cannot be reached from mon" in output
    assert "changed=0" in output


def test_check_mode_on_a_host_without_grafana_changes_nothing(host: Host) -> None:
    status, output = host.play("--check", grafana_version="11.0.0")
    assert status == 0, output
    assert host.run("find", "/etc/apt", "-name", "*grafana*") == ""


def test_it_is_installed_and_shows_six_dashboards(host: Host) -> None:
    status, output = host.play(grafana_version="11.0.0")
    assert status == 0, output
    password = host.password()
    assert len(password) == 32
    assert password not in output
    wanted = {f"claude-code-{path.stem}" for path in (ROOT / "files" / "dashboards").glob("*.json")}
    assert {board["uid"] for board in host.ask("/api/search", password)} == wanted
    assert host.run("dpkg-query", "-W", "-f=${Version}", "grafana") == "11.0.0"


@pytest.mark.parametrize("arguments", [(), ("--check",)], ids=["again", "check"])
def test_a_second_run_changes_nothing(host: Host, arguments: tuple[str, ...]) -> None:
    status, output = host.play(*arguments, grafana_version="11.0.0")
    assert status == 0, output
    assert "changed=0" in output


def test_what_is_secret_is_only_grafanas(host: Host) -> None:
    assert host.state(f"{OWN}/admin-password") == "grafana:grafana 600"
    assert host.state(f"{OWN}/secret-key") == "grafana:grafana 600"
    assert host.state(OWN) == "root:grafana 750"
    assert host.state("/etc/grafana/grafana.ini") == "root:grafana 640"
    assert (
        host.state("/etc/grafana/provisioning/datasources/claude-code-observability.yaml")
        == "root:grafana 640"
    )
    assert host.state(f"{OWN}/dashboards/fleet.json") == "root:grafana 640"
    ini = host.run("cat", "/etc/grafana/grafana.ini")
    assert "$__file{" in ini
    assert host.password() not in ini


def test_nobody_comes_in_without_the_password(host: Host) -> None:
    assert host.ask("/api/health")["database"] == "ok"
    assert host.ask("/api/search") == 401
    assert host.ask("/api/search", "admin") == 401
    ini = host.run("cat", "/etc/grafana/grafana.ini")
    assert "[auth.anonymous] enabled = false" in " ".join(ini.split())
    assert "allow_sign_up = false" in ini
    assert "http_addr = 127.0.0.1" in ini


def test_the_data_source_is_this_hosts_prometheus(host: Host) -> None:
    text = host.run("cat", "/etc/grafana/provisioning/datasources/claude-code-observability.yaml")
    source = yaml.safe_load(text)["datasources"][0]
    assert (source["type"], source["url"], source["isDefault"], source["editable"]) == (
        "prometheus",
        "http://127.0.0.1:9090",
        True,
        False,
    )


@pytest.mark.parametrize("kind", sorted(PROVISIONING))
def test_provisioning_keeps_to_what_grafana_documents(host: Host, kind: str) -> None:
    text = host.run("cat", f"/etc/grafana/provisioning/{kind}/claude-code-observability.yaml")
    jsonschema.validate(yaml.safe_load(text), PROVISIONING[kind])


@ON_13
def test_a_dashboard_that_is_no_more_goes_and_what_people_changed_comes_back(host: Host) -> None:
    host.write(f"{OWN}/dashboards/old.json", "{}")
    host.write("/etc/grafana/grafana.ini", "[server]\n")
    status, output = host.play("--check", grafana_version="11.0.0")
    assert status == 0, output
    assert "changed=0" not in output
    assert host.play(grafana_version="11.0.0")[0] == 0
    assert host.run("ls", f"{OWN}/dashboards").split() == [
        f"{name}.json" for name in ("activity", "cost", "fleet", "performance", "pipeline", "security")
    ]
    assert "http_port = 3000" in host.run("cat", "/etc/grafana/grafana.ini")


@ON_13
def test_a_password_of_the_inventory_is_changed_in_grafana_and_never_shown(host: Host) -> None:
    status, output = host.play(
        "--diff", "-v", grafana_version="11.0.0", grafana_admin_password="correct-horse-battery"
    )
    assert status == 0, output
    assert "correct-horse-battery" not in output
    assert host.password() == "correct-horse-battery"
    assert len(host.ask("/api/search", "correct-horse-battery")) == 6


@ON_13
def test_a_later_version_is_taken_and_an_older_refused(host: Host) -> None:
    status, output = host.play(grafana_version="11.6.0", grafana_admin_password="correct-horse-battery")
    assert status == 0, output
    assert host.run("dpkg-query", "-W", "-f=${Version}", "grafana") == "11.6.0"
    status, output = host.play(grafana_version="11.0.0")
    assert status != 0
    assert "asks for the older 11.0.0" in output


@ON_13
def test_what_is_installed_needs_no_repository(host: Host) -> None:
    status, output = host.play(**NOWHERE, grafana_admin_password="correct-horse-battery")
    assert status == 0, output
    assert "Left out" not in output


@ON_13
def test_settings_of_the_inventory_go_over_ours(host: Host) -> None:
    ini = {"users": {"default_theme": "light"}, "log": {"level": "debug"}}
    status, output = host.play(grafana_admin_password="correct-horse-battery", grafana_ini=ini)
    assert status == 0, output
    text = " ".join(host.run("cat", "/etc/grafana/grafana.ini").split())
    assert "allow_org_create = false default_theme = light" in text
    assert "level = debug" in text


@ON_13
def test_off_loopback_it_has_the_hosts_certificate_and_asks_prometheus_by_password(
    host: Host, tmp_path: Path
) -> None:
    trust = {"trust_enabled": True, "trust_directory": str(tmp_path / "trust")}
    given = {"grafana_admin_password": "correct-horse-battery", "grafana_listen_address": "0.0.0.0:3000"}
    status, output = host.play(**trust, **given)
    assert status == 0, output
    ini = " ".join(host.run("cat", "/etc/grafana/grafana.ini").split())
    assert "protocol = https" in ini
    assert "cookie_secure = true" in ini
    source = host.run("cat", "/etc/grafana/provisioning/datasources/claude-code-observability.yaml")
    assert "url: https://127.0.0.1:9090" in source
    assert (
        "basicAuthPassword: $__file{/etc/claude-code-observability-trust/grafana/prometheus.password}"
        in source
    )
    assert host.state("/etc/claude-code-observability-trust/grafana/host.key") == "root:grafana 640"
    assert "changed=0" in host.play(**trust, **given)[1]


@ON_12
@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"grafana_listen_address": "0.0.0.0:3000"}, "Grafana would listen on 0.0.0.0:3000 without TLS"),
        ({"grafana_listen_address": "3000"}, "grafana_listen_address is 3000: write host:port"),
        ({"grafana_admin_password": "admin"}, "must have at least 12 characters"),
        ({"grafana_ini": {"server": "x"}}, "'server' is not a section"),
        ({"grafana_prot": 1}, "grafana_prot"),
        ({"grafana_unreachable": "maybe"}, "value of grafana_unreachable must be one of: fail, skip"),
        ({"grafana_apt_url": "apt.example"}, "write the address of an apt repository"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_changes(
    host: Host, variables: dict[str, object], sentence: str
) -> None:
    status, output = host.play(**variables)
    assert status != 0
    assert sentence in output
    assert "changed=0" in output
