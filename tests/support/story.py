"""What a scripted model does in a session, and the numbers that follow from it.

A script is a tuple of turns, one for each answer of the Messages API. ``Numbers`` adds up what any number of
sessions must come to in Prometheus; it knows nothing of how the product counts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.messages_api import USAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from fractions import Fraction

Key = tuple[str, ...]
TOKEN_TYPES = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cacheRead": "cache_read_input_tokens",
    "cacheCreation": "cache_creation_input_tokens",
}


@dataclass(frozen=True)
class Call:
    """One tool call, and how it must end: success, failure, or blocked by the guard for a reason."""

    tool: str
    input: Mapping[str, object]
    outcome: str = "success"
    reason: str = ""


@dataclass(frozen=True)
class Turn:
    """One answer of the model: tool calls, or a text that ends the turn of the conversation.

    ``subagent`` is the script that the called ``Agent`` plays; ``fail`` holds statuses that the API answers
    with first, ``delay`` the seconds that it takes, ``seek`` a text to look for in what the client sends.
    With ``gate`` it answers only when the test lets the conversation go on.
    """

    calls: tuple[Call, ...] = ()
    text: str = "Done."
    usage: Mapping[str, int] = field(default_factory=lambda: USAGE)
    delay: float = 0
    fail: tuple[int, ...] = ()
    seek: str = ""
    gate: bool = False
    subagent: Script = ()

    def step(self) -> dict[str, Any]:
        """Return the turn as the stand-in's script writes it."""
        says: dict[str, Any] = {"text": self.text}
        if self.calls:
            says = {"tools": [[call.tool, dict(call.input)] for call in self.calls]}
        asks = {"delay": self.delay, "fail": list(self.fail), "seek": self.seek, "gate": self.gate}
        return {**says, "usage": dict(self.usage), **asks}


Script = tuple[Turn, ...]


def bash(command: str, *, outcome: str = "success", reason: str = "") -> Call:
    """Return a call of the tool Bash."""
    return Call("Bash", {"command": command, "description": "scripted"}, outcome, reason)


def turns(script: Script) -> Iterator[Turn]:
    """Yield a script's turns and those of its subagents."""
    for turn in script:
        yield turn
        yield from turns(turn.subagent)


@dataclass
class Numbers:
    """Sums over sessions; each key begins with host, user and project.

    ``micros`` are micro-dollars, by the price of each type of token in micro-dollars.
    """

    prices: Mapping[str, Fraction]
    events: Counter[Key] = field(default_factory=Counter)
    calls: Counter[Key] = field(default_factory=Counter)
    blocks: Counter[Key] = field(default_factory=Counter)
    sessions: Counter[Key] = field(default_factory=Counter)
    tokens: Counter[Key] = field(default_factory=Counter)
    micros: Counter[Key] = field(default_factory=Counter)
    responses: Counter[Key] = field(default_factory=Counter)

    def add(
        self,
        who: Key,
        script: Script,
        *,
        start: str = "fresh",
        begin: Key = ("SessionStart", "UserPromptSubmit"),
        end: Key = ("Stop", "SessionEnd"),
    ) -> None:
        """Add one run of ``claude -p`` by somebody in which the model played that script.

        ``start`` is how the client calls the beginning; ``begin`` and ``end`` are what hooks hear then.
        """
        self.sessions[*who, start] += 1
        for event in (*begin, *end):
            self.events[*who, event] += 1
        for turn in turns(script):
            self.responses[who] += 1
            self.micros[who] += self.cost(turn)
            for kind, name in TOKEN_TYPES.items():
                self.tokens[*who, kind] += turn.usage[name]
            if turn.subagent:
                self.events[*who, "SubagentStart"] += 1
                self.events[*who, "SubagentStop"] += 1
            for call in turn.calls:
                self._add_call(who, call)

    def _add_call(self, who: Key, call: Call) -> None:
        self.events[*who, "PreToolUse"] += 1
        self.calls[*who, call.tool, call.outcome] += 1
        if call.outcome == "blocked":
            self.blocks[*who, call.reason, call.tool] += 1
        elif call.outcome == "failure":
            self.events[*who, "PostToolUseFailure"] += 1
        # The client says both of a shell command that failed.
        if call.outcome == "success" or (call.outcome == "failure" and call.tool == "Bash"):
            self.events[*who, "PostToolUse"] += 1

    def cost(self, turn: Turn) -> int:
        """Return what one answer costs, in whole micro-dollars."""
        cost = sum(self.prices[kind] * turn.usage[name] for kind, name in TOKEN_TYPES.items())
        assert cost == int(cost), "choose token counts that cost whole micro-dollars"
        return int(cost)
