"""The fleet under test: its hosts, its people, their scripts, and what Prometheus must say of them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.claude import Developer, StandIn
from tests.support.machine import Machine, eventually
from tests.support.promql import Prometheus, Service
from tests.support.services import Services
from tests.support.story import TOKEN_TYPES, Numbers, Turn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.claude import Account, Session
    from tests.support.promql import Vector
    from tests.support.story import Key, Script

WHO = ("instance", "user", "project")


def trust_store() -> Path:
    """Return the converged scenario's trust store."""
    return Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / ".trust"


def passwords() -> dict[str, str]:
    """Return the password of each user that the scenario's services know."""
    return {path.name: path.read_text().strip() for path in (trust_store() / "passwords").iterdir()}


def service(machine: Machine, port: int, user: str) -> Service:
    """Return a service of a host, with what the converged scenario's trust store holds for its clients."""
    bundle = trust_store() / "bundle.crt"
    return Service(machine.name, machine.address(), port, bundle, user, passwords()[user])


def price(host: Machine, kind: str) -> Fraction:
    """Return what the client charges for one token, in micro-dollars, from a run with that type alone.

    The host is one on which nothing measures the run.
    """
    tokens = {each: 10_000 if each == kind else 0 for each in TOKEN_TYPES}
    key = f"price-{kind.lower()}"
    StandIn(host).script(key, (Turn(usage={name: tokens[each] for each, name in TOKEN_TYPES.items()}),))
    account = Developer(host, "root", home="/tmp/price").start(key, project="price").account()
    assert account.tokens == tokens
    return Fraction(account.micros, tokens[kind])


@dataclass(frozen=True)
class Fleet:
    """The hosts, and what the tests need to speak with them."""

    monitor: Machine
    services: Services
    developers: Mapping[str, Machine]
    prices: Mapping[str, Fraction]
    run: str

    @classmethod
    def deployed(cls, monitor: str, developers: Sequence[str]) -> Fleet:
        """Return the fleet of these containers, with a stand-in for the Messages API on each."""
        watcher = Machine(monitor)
        hosts = {name: Machine(name) for name in developers}
        for machine in (watcher, *hosts.values()):
            StandIn(machine).start()
        prices = {kind: price(watcher, kind) for kind in TOKEN_TYPES}
        return cls(watcher, Services.of(watcher), hosts, prices, f"{int(time.time()):x}")

    @property
    def prometheus(self) -> Prometheus:
        """Return the fleet's Prometheus, with the password and the authority of this moment."""
        return Prometheus(service(self.monitor, 9090, "prometheus"))

    @property
    def first(self) -> str:
        """Return the name of the first developer's host."""
        return next(iter(self.developers))

    @property
    def second(self) -> str:
        """Return the name of the second developer's host, which is the first one where there is no other."""
        return [*self.developers, self.first][1]

    def person(self, user: str, host: str) -> Developer:
        """Return one of the people who work on a developer's host."""
        return Developer(self.developers[host], user)


@dataclass
class Round:
    """Sessions that are played under one name, what must come of them, and what the client itself said.

    The name is part of every project's, together with the run of the tests, so that nothing else is counted
    in them and all sums begin at nought.
    """

    fleet: Fleet
    name: str
    numbers: Numbers
    accounts: list[Account] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    scripts: int = 0

    @classmethod
    def of(cls, fleet: Fleet, name: str) -> Round:
        """Begin a round."""
        return cls(fleet, f"{name}-{fleet.run}", Numbers(fleet.prices))

    def project(self, suffix: str = "") -> str:
        """Return the name of a project of this round."""
        return f"{self.name}-{suffix}" if suffix else self.name

    def script(self, host: str, script: Script) -> str:
        """Put a script on a host and return the key of its conversation, which nothing else uses."""
        self.scripts += 1
        key = f"{self.name}-{self.scripts}"
        StandIn(self.fleet.developers[host]).script(key, script)
        return key

    def keys(self) -> set[str]:
        """Return the keys of the conversations so far."""
        return {f"{self.name}-{number}" for number in range(1, self.scripts + 1)}

    def ended(self) -> int:
        """Return how many of the sessions that were started have ended."""
        return sum(session.running.process.poll() is not None for session in self.sessions)

    def start(self, user: str, host: str, script: Script, *, project: str = "") -> Session:
        """Start a session that plays a script to its end, and count what it must come to."""
        name = self.project(project)
        session = self.fleet.person(user, host).start(self.script(host, script), project=name)
        self.numbers.add((host, user, name), script)
        self.sessions.append(session)
        return session

    def resume(self, user: str, host: str, first: Script, more: Script, *, project: str = "") -> None:
        """Play a session, then a second run that resumes it."""
        name = self.project(project)
        key, dev = self.script(host, (*first, *more)), self.fleet.person(user, host)
        account = dev.start(key, project=name).account()
        self.numbers.add((host, user, name), first)
        dev.start(key, project=name, resume=account.session_id).account()
        self.numbers.add((host, user, name), more, start="resume")

    def wait_for_answers(self, machine: Machine, count: int) -> int:
        """Wait until so many answers were served to this round's sessions on a host; return how many were."""
        stand_in = StandIn(machine)
        keys = self.keys()
        return eventually(lambda: len(stand_in.served(*keys)), accept=lambda seen: seen >= count, seconds=60)

    def finish(self) -> list[Account]:
        """Wait for the sessions that were started; return what the client said of each."""
        accounts = [session.account() for session in self.sessions]
        self.sessions.clear()
        self.accounts += accounts
        return accounts

    def play(self, user: str, host: str, script: Script, *, project: str = "") -> Account:
        """Play one session from its start to its end."""
        self.start(user, host, script, project=project)
        return self.finish()[-1]

    def ask(self, metric: str, *labels: str, expected: Mapping[Key, int], scale: int = 1) -> Vector:
        """Return a metric's sums by person, project and labels, in 1/scale, once they are as expected."""
        by = ", ".join((*WHO, *labels))
        query = f'round(sum by ({by}) ({metric}{{project=~"{self.name}(-.*)?"}}) * {scale})'
        return self.fleet.prometheus.eventually(query, *WHO, *labels, expected=expected)

    def assert_exact(self) -> None:
        """Assert that Prometheus has exactly the numbers that this round's scripts imply."""
        numbers, micro = self.numbers, 1_000_000
        spent, requested = "claude_code_spend_usd_total", "claude_code_request_cost_usd_total"
        events, started = "claude_code_hook_events_total", "claude_code_sessions_total"
        responses = "claude_code_response_time_seconds_count"
        blocks, calls = "claude_code_security_blocks_total", "claude_code_tool_usage_total"
        assert self.ask(events, "event", expected=numbers.events) == numbers.events
        assert self.ask(calls, "tool", "outcome", expected=numbers.calls) == numbers.calls
        assert self.ask(blocks, "reason", "tool", expected=numbers.blocks) == numbers.blocks
        assert self.ask(started, "start_type", expected=numbers.sessions) == numbers.sessions
        assert self.ask("claude_code_tokens_total", "type", expected=numbers.tokens) == numbers.tokens
        assert self.ask(responses, expected=numbers.responses) == numbers.responses
        assert self.ask(spent, expected=numbers.micros, scale=micro) == numbers.micros
        assert self.ask(requested, expected=numbers.micros, scale=micro) == numbers.micros
