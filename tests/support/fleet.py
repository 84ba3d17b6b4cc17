"""The fleet under test: its hosts, its people, their scripts, and what Prometheus must say of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.claude import Developer, StandIn
from tests.support.machine import eventually
from tests.support.story import Numbers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

    from tests.support.claude import Account, Session
    from tests.support.machine import Machine
    from tests.support.promql import Prometheus, Vector
    from tests.support.story import Key, Script

WHO = ("instance", "user", "project")


@dataclass(frozen=True)
class Fleet:
    """The hosts, and what the tests need to speak with them."""

    monitor: Machine
    developers: Mapping[str, Machine]
    prometheus: Prometheus
    prices: Mapping[str, Fraction]
    run: str

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
        keys = [f"{self.name}-{number}" for number in range(1, self.scripts + 1)]
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
