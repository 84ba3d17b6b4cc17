"""The host's test of its own guard: at intervals the installed guard is asked what it must know.

It is started as the managed settings have Claude Code start it, but with ``--trial``: it decides and leaves
no trace.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from threading import Event

    from claude_code_exporter.config import Guard

DROP_IN = "50-observability-hooks.json"
SCRIPT = "pre_tool_use.py"
PLAIN = frozenset({"type", "command", "timeout", "onFailure", "statusMessage"})
"""Keys that a registration may have: any other (a condition, async) could keep the guard from blocking."""
LONGEST_WAIT = 60.0
"""Seconds: Claude Code's own limit, and how soon a guard that is not effective is tested again."""
VERSION = re.compile(r'^__version__ = "([A-Za-z0-9.+_-]{1,64})"$', re.MULTILINE)
PROJECT = "/tmp/project"  # noqa: S108 - a name, nothing is there
BLOCKED, PASSED = 2, 0
QUESTIONS: tuple[tuple[str, int, str, dict[str, str]], ...] = (
    ("a deletion of everything", BLOCKED, "Bash", {"command": "rm -rf /"}),
    ("a disguised deletion", BLOCKED, "Bash", {"command": 'a=r b=m; set -- -r --force /; $a$b "$@"'}),
    ("a look at secrets", BLOCKED, "Read", {"file_path": f"{PROJECT}/.env"}),
    # Python itself ends with 2 where a script is missing: only who lets this pass has judged the others.
    ("an ordinary command", PASSED, "Bash", {"command": "ls -la"}),
)

log = logging.getLogger("exporter")


class Fault(Exception):  # noqa: N818 - of the host, not of this program
    """The guard cannot be relied on; the text says why."""


@dataclass(frozen=True, slots=True)
class Posture:
    """What a test found: why the guard is not effective, or nothing; the hooks' version and hash."""

    fault: str
    version: str
    digest: str


class Sentry:
    """Tests the guard in a thread of its own; `posture` is what the latest test found, None without hooks."""

    def __init__(self, guard: Guard) -> None:
        self.posture: Posture | None = None
        self._guard = guard

    def run(self, stop: Event) -> None:
        """Test until `stop`: every interval, and every minute while there is no effective guard."""
        pause = 0.0
        while not stop.wait(pause):
            found = examine(self._guard)
            fault, before = (each.fault if each else "" for each in (found, self.posture))
            if fault and fault != before:
                log.error("the guard of this host is not effective: %s", fault)
            elif before and found and not fault:
                log.warning("the guard of this host is effective again")
            self.posture = found
            sound = found is not None and not fault
            pause = self._guard.interval if sound else min(self._guard.interval, LONGEST_WAIT)


def examine(guard: Guard) -> Posture | None:
    """Test the guard once. Returns None where no hooks are installed."""
    if not (guard.hooks_dir.is_dir() or os.path.lexists(guard.settings_dir / DROP_IN)):
        return None
    version, digest = _bundle(guard.hooks_dir)
    try:
        _not_disabled(guard.settings_dir)
        registration = guard.registered or guard.settings_dir / DROP_IN
        command, limit = registered(registration, f"{guard.hooks_dir}/{SCRIPT}")
        for what, right, tool, tool_input in QUESTIONS:
            _ask(command, limit, what=what, right=right, tool=tool, tool_input=tool_input)
    except Fault as fault:
        return Posture(str(fault), version, digest)
    except Exception as error:  # no accident may leave an old verdict standing
        return Posture(f"it could not be tested ({error!r})", version, digest)
    return Posture("", version, digest)


def _settings(file: Path) -> dict[str, Any]:
    """Return the settings of a file. Raises Fault for what Claude Code could not read either."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        message = f"{file} cannot be read: {error}"
        raise Fault(message) from error
    if not isinstance(found, dict):
        message = f"{file} holds no settings"
        raise Fault(message)
    return found


def _not_disabled(settings_dir: Path) -> None:
    for file in (settings_dir.parent / "managed-settings.json", *sorted(settings_dir.glob("*.json"))):
        if file.exists() and _settings(file).get("disableAllHooks"):
            message = f"{file} says disableAllHooks"
            raise Fault(message)


def registered(drop_in: Path, script: str) -> tuple[list[str], float]:
    """Return the command line that starts `script` before every tool call, and its time limit (s)."""
    for hook in _hooks(_settings(drop_in)):
        command, limit = hook.get("command"), hook.get("timeout", LONGEST_WAIT)
        if hook.get("type") != "command" or not set(hook) <= PLAIN or not isinstance(command, str):
            continue
        try:
            words = shlex.split(command)
        except ValueError:
            continue
        # Words that need no shell: what follows them (`|| true`) could turn a block into a pass.
        if script in words and shlex.join(words) == command and isinstance(limit, (int, float)):
            return words, min(float(limit), LONGEST_WAIT)
    message = f"{drop_in} does not register {script} for every tool call"
    raise Fault(message)


def _hooks(settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what is registered to be run before every tool call."""
    hooks = settings.get("hooks")
    groups = hooks.get("PreToolUse") if isinstance(hooks, dict) else None
    for group in groups if isinstance(groups, list) else ():
        if isinstance(group, dict) and group.get("matcher", "") in ("", "*"):
            yield from (hook for hook in group.get("hooks", ()) if isinstance(hook, dict))


def _ask(
    command: list[str], limit: float, *, what: str, right: int, tool: str, tool_input: dict[str, str]
) -> None:
    """Have the guard judge one call. Raises Fault if the answer is not `right`, or late."""
    call = {"hook_event_name": "PreToolUse", "cwd": PROJECT, "tool_name": tool, "tool_input": tool_input}
    try:
        answer = subprocess.run(
            [*command, "--trial"],
            input=json.dumps(call).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "CLAUDE_PROJECT_DIR": PROJECT},
            timeout=limit,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"asked about {what}, {command[0]} gave no answer: {error}"
        raise Fault(message) from error
    if answer.returncode != right:
        message = f"asked about {what}, it ended with {answer.returncode} instead of {right}"
        raise Fault(message)


def _bundle(hooks_dir: Path) -> tuple[str, str]:
    """Return the version of the hooks, and a hash of all their files; "unknown" if they cannot be read."""
    digest = hashlib.sha256()
    try:
        for path in sorted(hooks_dir.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                content = path.read_bytes()
                digest.update(f"{path.relative_to(hooks_dir)}\0{len(content)}\0".encode() + content)
        version = VERSION.search((hooks_dir / "utils/meter/__init__.py").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "unknown", "unknown"
    return version[1] if version else "unknown", digest.hexdigest()[:12]
