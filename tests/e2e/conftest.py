"""The fleet of the Molecule scenario ``default``, converged, with the real client on it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.claude import Account, Developer, StandIn
from tests.support.machine import Machine
from tests.support.promql import Prometheus, Service
from tests.support.story import TOKEN_TYPES, Numbers, Turn

if TYPE_CHECKING:
    from tests.support.story import Script


@dataclass(frozen=True)
class Fleet:
    """The hosts, and what the tests need to speak with them."""

    monitor: Machine
    developers: dict[str, Machine]
    prometheus: Prometheus
    prices: dict[str, Fraction]
    run: str

    def person(self, user: str, host: str) -> Developer:
        """Return one of the people who work on a developer's host."""
        return Developer(self.developers[host], user)

    def script(self, host: str, key: str, script: Script) -> str:
        """Put a script on a host and return the key of its conversation, which no other run uses."""
        StandIn(self.developers[host]).script(f"{key}-{self.run}", script)
        return f"{key}-{self.run}"

    def project(self, name: str) -> str:
        """Return a project's name that no earlier run of the tests on this fleet has used."""
        return f"{name}-{self.run}"

    def numbers(self) -> Numbers:
        """Return an empty account at the client's own prices."""
        return Numbers(self.prices)


def service(machine: Machine, port: int, user: str) -> Service:
    """Return a service of the monitoring host, with what the trust store holds for its clients."""
    store = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / ".trust"
    password = (store / "passwords" / user).read_text().strip()
    return Service(machine.name, machine.address(), port, store / "bundle.crt", user, password)


def price(monitor: Machine, kind: str) -> Fraction:
    """Return what the client charges for one token, in micro-dollars, from a run with that type alone.

    It runs on the monitoring host, where nothing measures it.
    """
    tokens = 10_000
    usage = {name: tokens if each == kind else 0 for each, name in TOKEN_TYPES.items()}
    key = f"price-{kind.lower()}"
    StandIn(monitor).script(key, (Turn(usage=usage),))
    account = Account.of(Developer(monitor, "root", home="/tmp/price").start(key, project="price").output())
    assert account.tokens == {each: tokens if each == kind else 0 for each in TOKEN_TYPES}
    return Fraction(account.micros, tokens)


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    """Return the fleet, with a stand-in on each of its hosts."""
    monitor, dev_a, dev_b = (Machine(name) for name in ("monitor", "dev-a", "dev-b"))
    for machine in (monitor, dev_a, dev_b):
        StandIn(machine).start()
    prices = {kind: price(monitor, kind) for kind in TOKEN_TYPES}
    prometheus = Prometheus(service(monitor, 9090, "prometheus"))
    return Fleet(monitor, {"dev-a": dev_a, "dev-b": dev_b}, prometheus, prices, f"{int(time.time()):x}")
