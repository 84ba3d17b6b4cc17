"""What the shell knows while a command is evaluated: variables, files it wrote, names it defined."""

from __future__ import annotations

import os

from utils.guard import smell
from utils.guard.envfiles import mentions_protected
from utils.guard.marks import UNKNOWN, UNKNOWN_ENV, UNKNOWN_RM, is_known, is_literal
from utils.guard.paths import Ground, normal
from utils.guard.state import State
from utils.guard.verdict import RM_RF
from utils.guard.words import unique

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from typing import Any

    from utils.guard.policy import Policy
    from utils.guard.state import Value

    Node = dict[str, Any]

MOST_OUTPUT = 1 << 17  # characters of output that are followed
# Variables whose value a program runs as a command, and those that name a script.
_RUN_BY_OTHERS = frozenset(
    [
        "GIT_SSH_COMMAND",
        "GIT_SSH",
        "GIT_EDITOR",
        "GIT_PAGER",
        "GIT_SEQUENCE_EDITOR",
        "GIT_EXTERNAL_DIFF",
        "GIT_ASKPASS",
        "SSH_ASKPASS",
        "GIT_PROXY_COMMAND",
        "PAGER",
        "MANPAGER",
        "EDITOR",
        "VISUAL",
        "BROWSER",
        "PROMPT_COMMAND",
        "RSYNC_RSH",
        "LESSOPEN",
        "LESSCLOSE",
        "FCEDIT",
        "RSYNC_CONNECT_PROG",
        "TAR_OPTIONS",
        "PS0",
    ]
)
_SOURCED = ("BASH_ENV", "ENV")


class Shell:
    """One evaluation of one command.

    policy: what is refused. trail: how deep we are, for `explain`. source: the bytes that the current
    tree's offsets count. aliases, functions, files, links, commands, descriptors: what the command itself
    defines, by name or absolute path.
    """

    def __init__(self, policy: Policy, cwd: str) -> None:
        self.policy = policy
        self.state = State(cwd)
        self.source = b""
        self.trail: list[str] = []
        self.functions: dict[str, tuple[Node, bytes]] = {}
        self.aliases: dict[str, str] = {}
        self.files: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.commands: dict[str, str] = {}
        self.descriptors: dict[str, str] = {}
        self.sinks: dict[str, tuple[Node, bytes]] = {}
        self.references: dict[str, str] = {}
        self.constants: set[str] = set()
        self.frames: list[dict[str, list[Value] | None]] = []
        self.traps: list[str] = []
        self.exits_on_error = False
        self.remote = False  # evaluating what another machine or a container will run
        self.depth = 0
        self.steps = 0
        self.parsed = 0
        self.loops = 0
        self.dotglob = False
        self.command = ""
        self._ground: Ground | None = None

    def ground(self) -> Ground:
        """Return where deletion is free and where not."""
        if self._ground is None:
            self._ground = Ground(self.policy, self.links)
        return self._ground

    def write(self, path: str, content: str, *, appends: bool = False) -> None:
        """Remember what the command writes to a file."""
        where = self.absolute(path)
        self.files[where] = (self.files.get(where, "") if appends else "") + content[:MOST_OUTPUT]

    def absolute(self, path: str) -> str:
        """Return `path` as an absolute one, from the first of the possible working directories."""
        return normal(path if path.startswith("/") else f"{self.state.cwd[0]}/{path}")

    def home(self) -> str:
        """Return the home directory, or unknown text."""
        return self.variable("HOME")[0]

    def separators(self) -> str:
        """Return the characters at which unquoted values split."""
        stored = self.state.variables.get("IFS")
        if stored is None or not isinstance(stored[0], str) or not is_known(stored[0]):
            return " \t\n"
        return stored[0]

    def raw(self, name: str) -> list[Value]:
        """Return the stored alternatives of a variable; empty when nothing here sets it."""
        name = self.references.get(name, name)
        stored = self.state.variables.get(name)
        if stored is not None:
            return stored
        return [*self._inherited(name)]

    def _inherited(self, name: str) -> list[str]:
        if self.remote:
            return []
        if name == "HOME" and self.policy.home:
            return [self.policy.home]
        if name == "PWD":
            return list(self.state.cwd)
        if name == "TMPDIR" and self.policy.tmpdir:
            return [self.policy.tmpdir]
        if name == "CLAUDE_PROJECT_DIR" and self.policy.project:
            return [self.policy.project]
        return {"IFS": [" \t\n"], "SHELL": ["/bin/bash"], "BASH": ["/bin/bash"]}.get(name, [])

    def variable(self, name: str) -> list[str]:
        """Return the alternatives of a variable as text; unknown when it comes from the environment."""
        values = self.raw(name)
        if not values:
            return [UNKNOWN]
        return ["" if v is None else v if isinstance(v, str) else (v[0] if v else "") for v in values]

    def assign(self, name: str, values: list[str]) -> None:
        """Set a variable to the alternatives `values`."""
        name = self.references.get(name, name)
        if name in self.constants:
            return
        if any(len(value) > MOST_OUTPUT for value in values):
            values = [
                value if len(value) <= MOST_OUTPUT else self.unknown(value[:MOST_OUTPUT]) for value in values
            ]
        self.state.variables[name] = [*unique(values)]
        if name in _RUN_BY_OTHERS:
            for value in values:
                if (value and "rm" in value.lower()) or mentions_protected(value, self.policy):
                    self.script(value, what=f"{name}=")
        elif name in _SOURCED:
            for value in values:
                content = self.content(value, UNKNOWN)
                if content != UNKNOWN:
                    self.script(content, what=f"{name}=")

    def unknown(self, *origins: str) -> str:
        """Return unknown text that remembers whether its origins smell of a protected act."""
        for origin in origins:
            if UNKNOWN_RM in origin or UNKNOWN_ENV in origin:
                return UNKNOWN_RM if UNKNOWN_RM in origin else UNKNOWN_ENV
        for origin in origins:
            found = smell.of(origin, self.policy)
            if found:
                return UNKNOWN_RM if found == RM_RF else UNKNOWN_ENV
        return UNKNOWN

    def exists(self, path: str) -> bool:
        """Say whether a directory is there now."""
        return not self.remote and is_literal(path) and os.path.isdir(path)

    def script(self, command: str, *, stdin: str = "", what: str = "") -> str:
        """Evaluate `command` as a shell's input; the evaluator does."""
        raise NotImplementedError

    def content(self, target: str, stdin: str, *, duplicate: bool = False) -> str:
        """Return what reading `target` yields; the evaluator does."""
        raise NotImplementedError
