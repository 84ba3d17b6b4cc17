"""Passwords, certificates and the authority change, and what was there before opens nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.support.plays import ROOT, container, docker_host, play, run_playbook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.machine import Machine

pytestmark = pytest.mark.timeout(900)

# Asks as a client that trusts the given authorities would; prints the status, or why there is none.
CLIENT = """
import base64, json, ssl, sys, urllib.error, urllib.request
ask = json.load(sys.stdin)
context = ssl.create_default_context(cadata=ask["ca"])
known = base64.b64encode(ask["pair"].encode()).decode()
request = urllib.request.Request(ask["url"], headers={"Authorization": "Basic " + known})
try:
    print(urllib.request.urlopen(request, context=context, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError as error:
    print(0, error)
"""


@dataclass(frozen=True)
class Site:
    """A host with a Pushgateway, and the directory of its inventory."""

    machine: Machine
    directory: Path

    @property
    def store(self) -> Path:
        """The trust store."""
        return self.directory / ".trust"

    def ask(self, *, store: Path, word: str = "") -> str:
        """Return what a client hears that has the authority and the password of a store."""
        password = word or (store / "passwords/pushgateway").read_text().strip()
        pair, ca = f"pushgateway:{password}", (store / "bundle.crt").read_text()
        ask = {"url": "https://127.0.0.1:9091/-/ready", "pair": pair, "ca": ca}
        return self.machine.run("python3", "-c", CLIENT, stdin=json.dumps(ask)).strip()

    def rotate(self, *arguments: str) -> tuple[int, str]:
        """Play the rotation; return its exit status and its output with single blanks."""
        arguments = ("--skip-tags", "canary", *arguments)
        return run_playbook("playbooks/rotate.yml", self.directory / "hosts.yml", *arguments)

    def files(self) -> dict[str, bytes]:
        """Return the files of the trust store."""
        paths = [path for path in self.store.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.store)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Yield the host, deployed to; it has the Pushgateway alone, whose package brings no /etc/prometheus."""
    with container("ccpo-debian13-systemd", systemd=False) as machine:
        directory = tmp_path_factory.mktemp("rotation")
        host = {"one": docker_host(machine, trust_enabled=True)}
        assert play(directory, host, roles=["trust", "pushgateway"])["one"].failure == ""
        yield Site(machine, directory)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "Say what to rotate with -e rotate=passwords, ca, certificates or all; nothing was changed."),
        (("-e", "rotate=ca", "--limit", "one"), "A rotation is for all hosts"),
        (("-e", "rotate=ca", "-e", "trust_ca_file=/mine"), "trust_ca_file names an authority of your own"),
    ],
)
def test_a_rotation_that_makes_no_sense_is_refused(
    site: Site, arguments: tuple[str, ...], sentence: str
) -> None:
    before = site.files()
    status, output = site.rotate(*arguments)
    assert status != 0
    assert sentence in output
    assert site.files() == before


def test_no_host_is_left_behind_unsaid(site: Site, tmp_path: Path) -> None:
    before = site.files()
    gone = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_connection": "ssh"}
    extra = tmp_path / "gone.yml"
    extra.write_text(json.dumps({"developers": {"hosts": {"gone": gone}}}))
    status, output = site.rotate("-i", str(extra), "-e", "rotate=all")
    assert status != 0
    assert "gone cannot be reached; nothing was changed." in output
    assert site.files() == before


def test_after_a_rotation_the_new_opens_and_the_former_does_not(site: Site, tmp_path: Path) -> None:
    former = tmp_path / "former"
    shutil.copytree(site.store, former)
    assert site.ask(store=site.store) == "200"
    status, output = site.rotate("-e", "rotate=all")
    assert status == 0, output[-4000:]
    assert site.ask(store=site.store) == "200"
    assert site.ask(store=site.store, word=(former / "passwords/pushgateway").read_text().strip()) == "401"
    assert "CERTIFICATE_VERIFY_FAILED" in site.ask(store=former)
    assert sorted(name for name in site.files() if name.startswith("ca")) == ["ca.crt", "ca.key"]


def test_renewed_certificates_are_shown_at_once(site: Site) -> None:
    shown = "import ssl; print(ssl.get_server_certificate(('127.0.0.1', 9091)))"
    before = site.machine.run("python3", "-c", shown)
    status, output = site.rotate("-e", "rotate=certificates")
    assert status == 0, output[-4000:]
    after = site.machine.run("python3", "-c", shown)
    assert after != before
    assert after.strip() == (site.store / "hosts/one.crt").read_text().strip()


def test_each_service_takes_up_what_is_new_by_itself_as_a_rotation_asks_it_to(tmp_path: Path) -> None:
    """A rotation plays no role as a whole, so that none may lean on what another one left behind."""
    consumers = sorted(path.parents[1].name for path in ROOT.glob("roles/*/tasks/trust.yml"))
    assert {"prometheus", "claude_exporter", "victoriametrics"} <= set(consumers)
    role = {"name": "{{ consumer }}", "rolespec_validate": False, "tasks_from": "trust"}
    tasks = [{"ansible.builtin.include_role": role, "vars": {"consumer": name}} for name in consumers]
    playbook = tmp_path / "take-up.yml"
    playbook.write_text(json.dumps([{"hosts": "all", "tasks": tasks}]))
    with container("ccpo-debian13-systemd", systemd=False) as machine:
        host = docker_host(machine, trust_enabled=True)
        inventory = tmp_path / "hosts.yml"
        inventory.write_text(json.dumps({"monitoring": {"hosts": {"one": host}}}))
        status, output = run_playbook(str(playbook), inventory, "--check")
    assert status == 0, output[-4000:]
