"""The fleet of the Molecule scenario ``default``, converged, with the real client on it."""

from __future__ import annotations

import os
import time
from fractions import Fraction
from pathlib import Path

import pytest

from tests.support.claude import Developer, StandIn
from tests.support.fleet import Fleet
from tests.support.machine import Machine
from tests.support.promql import Prometheus, Service
from tests.support.story import TOKEN_TYPES, Turn


def service(machine: Machine, port: int, user: str) -> Service:
    """Return a service of the monitoring host, with what the trust store holds for its clients."""
    store = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / ".trust"
    password = (store / "passwords" / user).read_text().strip()
    return Service(machine.name, machine.address(), port, store / "bundle.crt", user, password)


def price(monitor: Machine, kind: str) -> Fraction:
    """Return what the client charges for one token, in micro-dollars, from a run with that type alone.

    It runs on the monitoring host, where nothing measures it.
    """
    tokens = {each: 10_000 if each == kind else 0 for each in TOKEN_TYPES}
    key = f"price-{kind.lower()}"
    StandIn(monitor).script(key, (Turn(usage={name: tokens[each] for each, name in TOKEN_TYPES.items()}),))
    account = Developer(monitor, "root", home="/tmp/price").start(key, project="price").account()
    assert account.tokens == tokens
    return Fraction(account.micros, tokens[kind])


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    """Return the fleet, with a stand-in on each of its hosts."""
    monitor, dev_a, dev_b = (Machine(name) for name in ("monitor", "dev-a", "dev-b"))
    for machine in (monitor, dev_a, dev_b):
        StandIn(machine).start()
    prices = {kind: price(monitor, kind) for kind in TOKEN_TYPES}
    prometheus = Prometheus(service(monitor, 9090, "prometheus"))
    return Fleet(monitor, {"dev-a": dev_a, "dev-b": dev_b}, prometheus, prices, f"{int(time.time()):x}")
