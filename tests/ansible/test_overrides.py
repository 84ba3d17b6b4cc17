"""Every public variable, changed on a host beside one with the defaults: it is seen on the one alone."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509

from tests.support.overrides import ASKED, CHECKED, MOVED, OVERRIDES, PYTHON
from tests.support.plays import ROOT, container, docker_host, offer_grafana, play

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.machine import Machine
    from tests.support.overrides import Beside, Override
    from tests.support.plays import Played

pytestmark = pytest.mark.timeout(1800)

# A second suite and a second key of Grafana's repository, both of them the first under another name.
REPOSITORY = """
set -e
cd /srv/stand-in
ln -s stable dists/own
sed 's/^$/Comment: own\\n/;T;:a;n;ba' gpg.key >own.key
"""
HAND_OVER = 'docker exec "$0" tar -C /srv/stand-in -c . | docker exec -i "$1" tar -C /srv/own -x'
PREPARE = f"""
useradd --create-home ada
install -d -o ada -g ada /srv/shop /srv/own
ln -s /usr/bin/python3 {PYTHON}
"""
RULES = {"groups": [{"name": "own", "rules": [{"record": "own:sum", "expr": "sum(up)"}]}]}
MAC = {
    "os_family": "Darwin",
    "distribution": "MacOSX",
    "distribution_major_version": "15",
    "service_mgr": "launchd",
}
PARTS = {
    "hosts": "all",
    "become": True,
    "gather_facts": True,
    "gather_subset": ["!all", "!min", "distribution", "service_mgr"],
    "tasks": [
        {"ansible.builtin.set_fact": {**MAC, "cacheable": True}, "when": "inventory_hostname == 'mac'"},
        {
            "ansible.builtin.include_role": {"name": "{{ part }}", "tasks_from": "{{ parts[part] }}"},
            "loop": sorted(
                {role for beside in [*CHECKED.values(), *ASKED.values()] for role in beside.parts}
            ),
            "loop_control": {"loop_var": "part"},
            "when": "part in parts",
            "tags": ["always"],
        },
    ],
}
# Grafana's own repository can be reached from few places.
BESIDE = {"trust_enabled": False, "grafana_apt_url": "file:/srv/stand-in"}
# Prints what is at each place, a pair of kind and where, as JSON.
LOOK = """
import grp, json, os, pwd, subprocess, sys

def said(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout

def look(kind, where):
    if kind in ("file", "certificate"):
        return open(where).read() if os.path.isfile(where) else ""
    if kind == "tree":
        if not os.path.exists(where):
            return ""
        found = os.stat(where)
        owner, group = pwd.getpwuid(found.st_uid).pw_name, grp.getgrgid(found.st_gid).gr_name
        return f"{owner} {group} {found.st_mode & 0o7777:o}"
    if kind == "running":
        pid = said("systemctl", "show", "--value", "--property=MainPID", where).strip()
        return open(f"/proc/{pid}/cmdline").read().replace("\\0", " ") if pid not in ("", "0") else ""
    if kind == "listening":
        return " ".join(line.split()[3] for line in said("ss", "-Hltn").splitlines())
    return said("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", where)

print(json.dumps([look(*place) for place in json.load(sys.stdin)]))
"""
ON_HOST = {"file", "certificate", "tree", "running", "listening", "package"}


def overrides(host: str) -> dict[str, Any]:
    """Return the variables of the table that a host sets."""
    return {name: one.value for name, one in OVERRIDES.items() if one.host == host}


def described(pem: str) -> str:
    """Return the days that a certificate lives, and its names."""
    if not pem:
        return ""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc - dt.timedelta(hours=1)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return f"{life.days} days"
    return f"{life.days} days {names.get_values_for_type(x509.DNSName)}"


def written(end: Played, path: str) -> str:
    """Return the text that check mode says it would write to a path."""
    texts = []
    for _, result in end.results:
        for part in result.get("results", [result]):
            diffs = part.get("diff") or []
            for diff in diffs if isinstance(diffs, list) else [diffs]:
                if diff.get("after_header") == path:
                    texts += [str(diff.get("after"))]
    return "\n".join(texts)


@dataclass
class Site:
    """What was played and seen, by host."""

    directory: Path
    played: dict[str, list[Played]] = field(default_factory=dict)
    seen: dict[str, dict[tuple[str, str], str]] = field(default_factory=dict)

    def look(self, host: str, machine: Machine) -> None:
        """Look at all places of a machine."""
        order = sorted(
            {place for each in OVERRIDES.values() if (place := place_on(host, each))[0] in ON_HOST}
        )
        texts = json.loads(machine.run("python3", "-c", LOOK, stdin=json.dumps(order)))
        self.seen[host] = dict(zip(order, texts, strict=True))

    def text(self, host: str, kind: str, where: str) -> str:
        """Return what there is to see of a kind at a place on a host."""
        if kind == "store":
            directory = self.directory / host
            if where:
                return (directory / where).read_text() if (directory / where).exists() else ""
            return " ".join(str(path.relative_to(directory)) for path in sorted(directory.rglob("*")))
        ends = self.played[host]
        if kind == "failure":
            return " ".join(end.failure for end in ends)
        if kind == "gave_up":
            said = [result for end in ends for _, result in end.results if result.get("attempts")]
            return "\n".join(
                f"after {one['attempts']} attempts" for one in said if one.get("status", 200) != 200
            )
        if kind == "warned":
            return "\n".join(text for end in ends for text in end.warnings)
        if kind == "asked":
            return "\n".join(
                json.dumps(result) for end in ends for task, result in end.results if task == where
            )
        if host not in self.seen:
            return written(ends[-1], where)
        found = self.seen[host][kind, where]
        return described(found) if kind == "certificate" else found


def place_on(host: str, one: Override) -> tuple[str, str]:
    """Return where an override is looked for: a host that keeps the defaults has it at the default path."""
    if host == "plain":
        for own, default in MOVED.items():
            if one.where.startswith(own):
                return one.kind, default + one.where.removeprefix(own)
    return one.kind, one.where


def beside(
    directory: Path, machine: Machine, hosts: Mapping[str, Beside], *arguments: str
) -> dict[str, list[Played]]:
    """Play each host's parts on one machine."""
    directory.mkdir()
    (directory / "parts.yml").write_text(yaml.safe_dump([PARTS]))
    members = {
        name: docker_host(machine, **{**BESIDE, **host.variables, **overrides(name), "parts": host.parts})
        for name, host in hosts.items()
    }
    ends = play(directory, members, *arguments, playbooks=[str(directory / "parts.yml")])
    return {name: [end] for name, end in ends.items()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Yield two machines after their plays, and the hosts that were played on them afterwards."""
    base = tmp_path_factory.mktemp("overrides")
    with (
        container("ccpo-debian13-systemd", systemd=True, prepare=PREPARE) as plain,
        container("ccpo-debian13-systemd", systemd=True, prepare=PREPARE) as one,
        ThreadPoolExecutor(2) as pool,
    ):
        site = Site(base)
        offer_grafana(plain, "11.0.0", "11.6.0")
        plain.run("sh", "-c", REPOSITORY)
        subprocess.run(["sh", "-c", HAND_OVER, plain.name, one.name], check=True, timeout=60)

        def deploy(name: str, machine: Machine, **variables: Any) -> None:
            directory = base / name
            directory.mkdir()
            (directory / "own-rules.yml").write_text(yaml.safe_dump(RULES))
            hosts = {name: docker_host(machine, **variables)}
            site.played[name] = [play(directory, hosts, "--diff", playbooks=["site.yml"])[name]]
            site.look(name, machine)
            if name == "one":
                site.played[name].append(play(directory, hosts, "--check", roles=["trust"])[name])
                more = beside(base / "asked", machine, ASKED, "--tags", "selfcheck")
            else:
                more = beside(base / "checked", machine, CHECKED, "--check", "--diff")
            site.played.update(more)

        runs = [
            pool.submit(deploy, "plain", plain, grafana_apt_url=BESIDE["grafana_apt_url"]),
            pool.submit(deploy, "one", one, **overrides("one")),
        ]
        for run in runs:
            run.result()
        yield site


def test_every_public_variable_has_its_row() -> None:
    options = set()
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        options |= set(yaml.safe_load(path.read_text())["argument_specs"].get("main", {}).get("options", {}))
    assert set(OVERRIDES) == options


@pytest.mark.parametrize("host", ["plain", "one", *CHECKED, *ASKED])
def test_a_host_is_refused_only_where_its_variables_ask_for_it(site: Site, host: str) -> None:
    refused = any(one.host == host and one.kind in {"failure", "gave_up"} for one in OVERRIDES.values())
    assert bool(site.text(host, "failure", "").strip()) == refused, site.text(host, "failure", "")


@pytest.mark.parametrize("variable", OVERRIDES)
def test_a_value_is_seen_on_the_host_that_sets_it_and_not_on_one_with_the_default(
    site: Site, variable: str
) -> None:
    one = OVERRIDES[variable]
    own = site.text(one.host, *place_on(one.host, one))
    default = site.text("plain", *place_on("plain", one))
    assert (one.text in own, one.text in default) == (one.shown, not one.shown), own
