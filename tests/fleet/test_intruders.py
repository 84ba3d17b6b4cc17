"""Attacks by those who are inside: a host's own people, a host that was taken over, a false service."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from plugins.action.trust_store import Terms, new_authority, new_certificate, pem, pem_key
from tests.support import stranger
from tests.support.doors import DOORS, MONITOR, PUSH, SCRAPE, STRANGER, WRITE
from tests.support.exporter import cost
from tests.support.fleet import Round, trust_store
from tests.support.machine import eventually
from tests.support.story import Turn, bash
from tests.support.stranger import Ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.doors import Scene
    from tests.support.machine import Machine
    from tests.support.promql import Vector
    from tests.support.story import Script

JOURNALS = "/var/lib/claude-code-observability/journal"
HOOK = (
    *("/usr/bin/python3", "-I", "-S", "/usr/local/lib/claude-code-observability/hooks/prometheus_sender.py"),
    *("--config", "/etc/claude-code-observability/hooks.json"),
)
ONE_CALL: Script = (Turn((bash("true"),)), Turn())
# What bob puts where journals are: $1 is his number, $2 alice's, $3 the operator's, $4 names a journal.
PUT = f"""
set -eu
cd {JOURNALS}
ln -s /etc/shadow "$1.shadow.jsonl"
ln -s "$2.jsonl" "$1.alice.jsonl"
mkfifo "$1.pipe.jsonl"
mkdir "$1.folder.jsonl"
truncate -s 1T "$1.huge.jsonl"
printf '{{"journal": "%s", "v": 1}}\\n' "$4" >"$1.endless.jsonl"
truncate -s 64M "$1.endless.jsonl"
cp /etc/passwd /home/bob/linked
ln /home/bob/linked "$(printf '%s.x\\nthe Pushgateway answers again.jsonl' "$1")"
cp /etc/passwd "$2.bob.jsonl"
ln -s /home/operator/planted "$3.jsonl"
"""
CLEAR = f'rm -rf {JOURNALS}/"$1".?*.jsonl {JOURNALS}/"$3"*.jsonl /home/bob/linked'
PEOPLE = ("bob", "alice", "operator")
# What would be something else to a shell, a path, a page of metrics or a database.
SESSIONS = (
    "../../../../tmp/by-session-id",
    "/etc/by-session-id",
    "$(touch /tmp/by-session-id)",
    '"} 1\nclaude_code_prompts_total{by-session-id="',
    "by-session-id'; DROP TABLE counters; --",
)
REFUSED = {
    "journal_kind": 4,
    "journal_links": 1,
    "journal_header": 1,
    "journal_owner": 2,
    "line_too_long": 1,
    "session": len(SESSIONS),
}
REJECTED = f'claude_code_exporter_rejected_total{{reason=~"{"|".join(REFUSED)}"}}'


def hear(machine: Machine, event: str, session: str, *, user: str, project: str) -> None:
    """Have the hook of a host's user hear of an event."""
    said = {"hook_event_name": event, "session_id": session, "cwd": f"/src/{project}"}
    machine.run(*HOOK, user=user, stdin=json.dumps(said))


def uid(machine: Machine, user: str) -> str:
    """Return a user's number on a host."""
    return machine.run("id", "-u", user).strip()


@pytest.fixture(scope="module")
def refused(scene: Scene, standing: dict[str, str]) -> Iterator[Vector]:
    """Put bob's journals on every developer's host; yield what was refused before."""
    assert standing
    before = scene.fleet.prometheus.vector(REJECTED, "instance", "reason")
    hosts = scene.fleet.developers.values()
    for machine in hosts:
        people = [uid(machine, user) for user in PEOPLE]
        machine.run("sh", "-c", CLEAR, "sh", *people)
        machine.run("sh", "-c", PUT, "sh", *people, f"{int(scene.fleet.run, 16):032x}", user="bob")
        hear(machine, "SessionStart", "of-the-operator", user="operator", project="planted")
        for session in SESSIONS:
            hear(machine, "SessionStart", session, user="bob", project="ids")
    yield before
    for machine in hosts:
        machine.run("sh", "-c", CLEAR, "sh", *(uid(machine, user) for user in PEOPLE))


def test_journals_that_are_none_are_refused_and_counted(scene: Scene, refused: Vector) -> None:
    expected = dict(refused)
    for host in scene.fleet.developers:
        for reason, number in REFUSED.items():
            expected[host, reason] = expected.get((host, reason), 0) + number
    found = scene.fleet.prometheus.eventually(REJECTED, "instance", "reason", expected=expected)
    assert found == expected


def test_where_links_lead_nothing_is_read_or_written(scene: Scene, refused: Vector) -> None:
    assert isinstance(refused, dict)
    for machine in scene.fleet.developers.values():
        assert machine.run("find", "/home/operator", "-name", "planted") == ""
        log = machine.run("journalctl", "--unit", "claude-code-exporter", "--output", "cat")
        said = [line for line in log.splitlines() if "the Pushgateway answers again.jsonl" in line]
        assert said
        assert all(line.startswith("WARNING the journal ") for line in said)
        assert not re.search(r"root:[x*!]:", log)


def test_what_is_no_name_of_a_session_is_none_anywhere(scene: Scene, refused: Vector) -> None:
    assert isinstance(refused, dict)
    for host, machine in scene.fleet.developers.items():
        bodies = [base64.b64encode(cost(0.25, session)).decode() for session in SESSIONS]
        kind = {"Content-Type": "application/json"}
        ask = Ask("127.0.0.1", 4318, "/v1/metrics", "POST", tls=False, headers=kind)
        said = scene.by(host, [replace(ask, body=body) for body in bodies])
        assert [status for status, _ in said] == [200] * len(SESSIONS)
        assert machine.run("find", "/", "-xdev", "-name", "*by-session-id*") == ""
    assert scene.fleet.prometheus.query('{session_id=~".*by-session-id.*"}') == []


SPENT, EVENTS = "claude_code_spend_usd_total", "claude_code_hook_events_total"
ALERT = "ClaudeCodeUnknownInstance"


def push(scene: Scene, path: str, body: str, *, method: str = "PUT") -> None:
    """Push as somebody who has taken over a host, and with it the password of all."""
    (door,) = [door for door, user in DOORS[MONITOR].items() if user == "pushgateway"]
    packed = base64.b64encode(body.encode()).decode()
    ask = scene.ask(MONITOR, door, path, method=method, headers=scene.known("pushgateway"), body=packed)
    assert stranger.answer(ask)[0] in (200, 202)


@dataclass(frozen=True)
class Forged:
    """What was pushed: numbers of a project under other names, and others in the place of a host's own."""

    project: str
    played: Round


@pytest.fixture(scope="module")
def forged(scene: Scene) -> Iterator[Forged]:
    """Push under the names of others, and write over a host's group until Prometheus has seen it."""
    fleet = scene.fleet
    played = Round.of(fleet, "forged")
    played.play("alice", PUSH, ONE_CALL)
    played.assert_exact()
    project = f"mallory-{fleet.run}"
    labels = f'user="mallory",project="{project}",instance="{PUSH}"'
    groups = (
        f"/metrics/job/claude_code/instance/{SCRAPE}",
        f"/metrics/job/claude_code/instance/{WRITE}",
        f"/metrics/job/backup/instance/{PUSH}",
        "/metrics/job/backup",
        f"/metrics/job/claude_code/instance/{PUSH}/shift/night",
        "/metrics/job/claude_code/instance/nobody",
    )
    for number, group in enumerate(groups):
        push(scene, group, f'# TYPE {SPENT} counter\n{SPENT}{{{labels},number="{number}"}} 1000\n')
    asked = f'{EVENTS}{{instance="{PUSH}", project="{played.name}", event="Stop"}}'
    (stop,) = fleet.prometheus.query(asked)
    own = {name: text for name, text in stop["metric"].items() if name not in ("__name__", "instance")}
    pairs = ",".join(f'{name}="{text}"' for name, text in own.items())
    series = f"# TYPE {EVENTS} counter\n{EVENTS}{{{pairs}}} 1000\n"

    def seen() -> float:
        push(scene, f"/metrics/job/claude_code/instance/{PUSH}", series)
        return sum(fleet.prometheus.vector(asked).values())

    assert eventually(seen, accept=lambda value: value == 1000, seconds=60) == 1000
    yield Forged(project, played)
    for group in groups:
        push(scene, group, "", method="DELETE")


def test_nobody_adds_to_the_numbers_of_a_host_that_does_not_push(scene: Scene, forged: Forged) -> None:
    asked = f'{SPENT}{{project="{forged.project}"}}'
    told: Vector = {("claude_code", "nobody", ""): 1000.0, ("claude_code", PUSH, "night"): 1000.0}
    found = scene.fleet.prometheus.eventually(asked, "job", "instance", "shift", expected=told)
    assert found == told


def test_a_group_of_nobody_or_beside_a_hosts_own_is_told_of(scene: Scene, forged: Forged) -> None:
    assert forged.project
    expected: Vector = {("nobody",): 1.0, (PUSH,): 1.0}
    found = scene.fleet.prometheus.eventually(f'ALERTS{{alertname="{ALERT}"}}', "instance", expected=expected)
    assert found == expected


def test_numbers_that_were_replaced_come_back_and_the_fall_is_told_of(scene: Scene, forged: Forged) -> None:
    forged.played.assert_exact()
    alert = 'ALERTS{alertname="ClaudeCodeCounterReset", alertstate="firing"}'
    expected: Vector = {(PUSH,): 1.0}
    assert scene.fleet.prometheus.eventually(alert, "instance", expected=expected) == expected


# On each of these hosts somebody stands where its client looks for a service.
PLACES = {PUSH: (MONITOR, 9091), WRITE: (MONITOR, 9090), MONITOR: (SCRAPE, 9468)}
PLACE = "/tmp/impostor"
TABLE = "100"
OTHER, NEIGHBOUR = "another-authority.pem", "another-host.pem"
STAND = f"exec python3 {STRANGER} stand $0 {PLACE}/heard {PLACE}/{OTHER} {PLACE}/{NEIGHBOUR}"
LEAVE = f"""
while ip rule del lookup {TABLE} 2>/dev/null; do :; done
ip route flush table {TABLE}
kill "$(cat {PLACE}/pid)"
rm -r {PLACE}
"""


def of_another_authority(*names: str) -> str:
    """Return a certificate and its key with good names, from an authority that nobody here knows."""
    terms, now, key = Terms(10, 10, 1), dt.datetime.now(dt.UTC), ec.generate_private_key(ec.SECP256R1())
    made = new_certificate(new_authority(terms, now=now), key.public_key(), names, terms, now=now)
    return (pem(made) + pem_key(key)).decode()


def of_our_own(host: str) -> str:
    """Return the certificate and the key of one of the fleet's hosts."""
    return "".join((trust_store() / "hosts" / f"{host}.{kind}").read_text() for kind in ("crt", "key"))


def heard(machine: Machine) -> list[dict[str, str]]:
    """Return what an impostor wrote down so far."""
    lines = machine.run("sh", "-c", f"cat {PLACE}/heard 2>/dev/null || true").splitlines()
    return [json.loads(line) for line in lines]


def met(found: list[dict[str, str]]) -> bool:
    """Say whether clients have hung up on both of an impostor's certificates."""
    return {one["certificate"] for one in found if "refused" in one} == {OTHER, NEIGHBOUR}


@pytest.fixture(scope="module")
def impostors(scene: Scene) -> dict[str, list[dict[str, str]]]:
    """Return what impostors with two certificates heard: from clients, then from a careless one."""
    found = {}
    try:
        for host, (target, number) in PLACES.items():
            machine, address = scene.host(host), scene.host(target).address()
            another = next(name for name in DOORS if name not in (host, target))
            machine.write(f"{PLACE}/{OTHER}", of_another_authority(target, address))
            machine.write(f"{PLACE}/{NEIGHBOUR}", of_our_own(another))
            start = f"setsid sh -c '{STAND}' {number} >{PLACE}/log 2>&1 </dev/null & echo $! >{PLACE}/pid"
            machine.run("sh", "-c", start)
            here = ("src", machine.address(), "table", TABLE)
            machine.run("ip", "route", "add", "local", address, "dev", "lo", *here)
            # What the host itself sends goes to the impostor; what others look for stays where it is.
            machine.run("ip", "rule", "add", "to", address, "iif", "lo", "lookup", TABLE)
        for host, (target, number) in PLACES.items():
            machine = scene.host(host)
            eventually(lambda machine=machine: heard(machine), accept=met, seconds=90)  # type: ignore[misc]
            careless = Ask(scene.host(target).address(), number, "/careless")
            scene.by(host, [careless] * 2, user="root")
            found[host] = heard(machine)
    finally:
        for host in PLACES:
            scene.host(host).run("sh", "-c", LEAVE, check=False)
    return found


@pytest.mark.parametrize("host", PLACES)
def test_no_client_says_a_word_to_who_has_another_certificate(
    impostors: dict[str, list[dict[str, str]]], host: str
) -> None:
    assert met(impostors[host])
    # Who does not look at certificates told it everything.
    told = [one["heard"].partition("\r\n")[0] for one in impostors[host] if "heard" in one]
    assert told == ["GET /careless HTTP/1.1"] * 2


def test_afterwards_every_daemon_is_the_one_it_was_and_sessions_are_exact(
    scene: Scene, standing: dict[str, str]
) -> None:
    assert scene.standing() == standing
    played = Round.of(scene.fleet, "afterwards")
    for host in scene.fleet.developers:
        played.start("alice", host, ONE_CALL)
        played.start("bob", host, ONE_CALL)
    played.finish()
    played.assert_exact()
