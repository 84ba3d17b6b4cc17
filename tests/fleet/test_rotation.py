"""Passwords and the authority are rotated while people work: no number is lost, the former open nothing."""

from __future__ import annotations

import shutil
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.support.doors import DOORS, LOCKED, port
from tests.support.fleet import Round, passwords, trust_store
from tests.support.machine import eventually
from tests.support.promql import Prometheus, Service
from tests.support.site import Site
from tests.support.story import Turn, bash

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fleet import Fleet
    from tests.support.site import Recap
    from tests.support.story import Script

# The site is played on hosts in the middle of it, four times.
pytestmark = pytest.mark.timeout(1800)

WHAT = ("passwords", "ca")
SCRIPT: Script = (Turn((bash("echo going on"),)), Turn(text="Done."))


@dataclass(frozen=True)
class Rotated:
    """What was done: the sessions, its times since the epoch, how each play ended, and the former secrets."""

    played: Round
    began: float
    ended: float
    plays: dict[str, tuple[int, dict[str, Recap], str]]
    former: Path


@pytest.fixture(scope="module")
def story(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Rotated:
    """Rotate one after the other, with a session on every host at any time; then deploy again."""
    former = tmp_path_factory.mktemp("rotation") / "former"
    shutil.copytree(trust_store(), former)
    played, plays, began = Round.of(fleet, "rotated"), {}, time.time()
    for what in WHAT:
        site = Site.start("-e", f"rotate={what}", playbook="playbooks/rotate.yml", quickly=True)
        while site.process.poll() is None:
            for host in fleet.developers:
                played.start("alice", host, SCRIPT, project=what)
            played.finish()
        plays[what] = site.end()
    ended = time.time()
    plays["site"] = Site.start(quickly=True).end()
    return Rotated(played, began, ended, plays, former)


def secured(fleet: Fleet, where: str, door: str, *, words: dict[str, str], bundle: Path) -> Service:
    """Return what listens there as its client sees it that has these passwords and this authority."""
    machine = {fleet.monitor.name: fleet.monitor, **fleet.developers}[where]
    user = DOORS[where][door]
    return Service(machine.name, machine.address(), port(door), bundle, user, words[user])


@pytest.mark.parametrize("what", WHAT)
def test_the_rotation_reaches_every_host_and_ends_well(story: Rotated, what: str) -> None:
    status, recap, output = story.plays[what]
    assert status == 0, output[-5000:]
    assert {name: (recap[name].unreachable, recap[name].failed) for name in DOORS} == dict.fromkeys(
        DOORS, (0, 0)
    )


def test_every_transport_is_exact(story: Rotated) -> None:
    played = story.played
    assert {key[2] for key in played.numbers.sessions} == {played.project(what) for what in WHAT}
    played.assert_exact()


def test_the_long_term_store_has_every_sample(story: Rotated, fleet: Fleet) -> None:
    span = round(story.ended - story.began)

    def samples(store: Prometheus) -> dict[str, list[tuple[float, str]]]:
        found = store.query(f"up[{span}s]", at=story.ended)
        for each in found:
            each["metric"].pop("fleet", None)  # what Prometheus says of itself to others alone
        return {str(sorted(each["metric"].items())): each["values"] for each in found}

    words, bundle = passwords(), trust_store() / "bundle.crt"
    door = "tcp 0.0.0.0:8428"
    store = Prometheus(secured(fleet, fleet.monitor.name, door, words=words, bundle=bundle))
    expected = samples(fleet.prometheus)
    assert expected
    kept = eventually(lambda: samples(store), accept=lambda seen: seen == expected, seconds=120)
    assert kept == expected


@pytest.mark.parametrize(("where", "door"), LOCKED)
def test_a_former_password_opens_nothing(story: Rotated, fleet: Fleet, where: str, door: str) -> None:
    former = {path.name: path.read_text().strip() for path in (story.former / "passwords").iterdir()}
    bundle = trust_store() / "bundle.crt"
    assert secured(fleet, where, door, words=passwords(), bundle=bundle).get("/metrics")[0] == 200
    assert secured(fleet, where, door, words=former, bundle=bundle).get("/metrics")[0] == 401


@pytest.mark.parametrize(("where", "door"), LOCKED)
def test_a_client_of_the_former_authority_trusts_nobody(
    story: Rotated, fleet: Fleet, where: str, door: str
) -> None:
    bundle = story.former / "bundle.crt"
    with pytest.raises(ssl.SSLCertVerificationError):
        secured(fleet, where, door, words=passwords(), bundle=bundle).get("/metrics")


def test_a_deployment_afterwards_changes_nothing(story: Rotated) -> None:
    status, recap, output = story.plays["site"]
    assert status == 0, output[-5000:]
    assert {name: host.changed for name, host in recap.items() if name in DOORS} == dict.fromkeys(DOORS, 0)
