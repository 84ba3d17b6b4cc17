"""What the shell would know at one point of a command, with alternatives where branches meet."""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    Value = str | list[str] | None  # None: unset

MOST = 12  # values of one variable that are followed


class State:
    """Variables, working directory and parameters; what a subshell copies.

    variables: name to alternatives; a name that is missing comes from the environment. cwd: alternatives.
    parameters: None where the positional parameters cannot be known. ended: ``exit`` or ``return`` was met.
    """

    __slots__ = ("cwd", "ended", "old_cwd", "parameters", "script_name", "variables")

    def __init__(self, cwd: str) -> None:
        self.variables: dict[str, list[Value]] = {}
        self.cwd: list[str] = [cwd]
        self.old_cwd: list[str] = []  # where a cd that may fail leaves us
        self.parameters: list[str] | None = None
        self.script_name = "bash"
        self.ended = False

    def copy(self) -> State:
        """Return a copy that a subshell or a branch may change."""
        other = State("")
        other.variables = dict(self.variables)
        other.cwd = list(self.cwd)
        other.parameters = self.parameters
        other.script_name = self.script_name
        return other


def joined(states: list[State]) -> State:
    """Return the state after branches that end in `states`; branches that ended the script do not count."""
    alive = [state for state in states if not state.ended] or states[:1]
    first = alive[0]
    if len(alive) == 1:
        return first
    result = first.copy()
    for state in alive[1:]:
        for cwd in state.cwd:
            if cwd not in result.cwd:
                result.cwd.append(cwd)
        for name in {*result.variables, *state.variables}:
            ours, theirs = result.variables.get(name), state.variables.get(name)
            if ours == theirs:
                continue
            merged: list[Value] = list(ours) if ours is not None else ["\U000f0000"]
            for value in theirs if theirs is not None else ["\U000f0000"]:
                if value not in merged:
                    merged.append(value)
            result.variables[name] = merged[:MOST]
    result.cwd = result.cwd[:MOST]
    return result
