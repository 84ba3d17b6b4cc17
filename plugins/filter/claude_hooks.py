"""Managed settings made from the settings of the bundle, which hold the one list of registered events."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# Hooks get the variable from their environment; in a slash command only the form with braces is replaced.
COPIED = re.compile(
    r'python3 -S "\$(?:CLAUDE_PROJECT_DIR|\{CLAUDE_PROJECT_DIR\})/\.claude/hooks/(\w+\.py)"'
    r"(?: (meter|blocked|telemetry)\b)?"
)
GUARD = "pre_tool_use.py"


def managed_hooks(
    settings: Mapping[str, Any],
    *,
    python: str,
    directory: str,
    config: str,
    guard_timeout: int,
    timeout: int,
    disabled: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the hooks of `settings` with commands that run the bundle installed in `directory`.

    config: its hooks.json. Timeouts are in seconds. Raises `ValueError` for a disabled event that is the
    guard's or is not registered, and for a command in `settings` that is not one of the bundle's.
    """
    hooks = settings["hooks"]
    where = "claude_hooks_disabled_events"
    guarded = {
        event
        for event, groups in hooks.items()
        if any(GUARD in hook["command"] for group in groups for hook in group["hooks"])
    }
    for event in disabled:
        if event in guarded:
            message = f"{where}: {event} is the guard's; set claude_hooks_guard_mode to audit to let all pass"
            raise ValueError(message)
        if event not in hooks:
            message = f"{where}: {event} is not registered; known are {', '.join(sorted(hooks))}"
            raise ValueError(message)

    def installed(event: str, hook: Mapping[str, Any]) -> dict[str, Any]:
        command = hook["command"]
        if not COPIED.fullmatch(command):
            message = f"files/claude/settings.json: the command of {event} is none of the bundle's: {command}"
            raise ValueError(message)
        return {
            **hook,
            "command": _installed(command, python=python, directory=directory, config=config),
            "timeout": guard_timeout if event in guarded else timeout,
        }

    return {
        event: [{**group, "hooks": [installed(event, hook) for hook in group["hooks"]]} for group in groups]
        for event, groups in hooks.items()
        if event not in disabled
    }


def settings_places(scope: str, *, users: Iterable[str], projects: Iterable[str]) -> list[dict[str, str]]:
    """Return whose settings a scope merges hooks into, as arguments of the module claude_settings."""
    if scope == "user":
        return [{"user": name} for name in dict.fromkeys(users)]
    if scope == "project":
        return [{"checkout": path.rstrip("/")} for path in dict.fromkeys(projects)]
    return []


def managed_command(text: str, *, python: str, directory: str, config: str) -> str:
    """Return the slash command `text` of the bundle, running the report in `directory` with `config`.

    Raises `ValueError` for a text that runs nothing of the bundle's.
    """
    if not COPIED.search(text):
        message = "files/claude/commands: a command that runs no report of the bundle's"
        raise ValueError(message)
    return _installed(text, python=python, directory=directory, config=config)


def _installed(text: str, *, python: str, directory: str, config: str) -> str:
    """Return `text` with each command of the copied bundle made one of the installed bundle."""

    def words(match: re.Match[str]) -> str:
        script, argument = f"{directory}/{match[1]}", [match[2]] if match[2] else []
        return shlex.join([python, "-I", "-S", script, *argument, "--config", config])

    return COPIED.sub(words, text)


class FilterModule:
    """The filters of this file, by the names that templates use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return name → function."""
        return {
            "managed_command": managed_command,
            "managed_hooks": managed_hooks,
            "settings_places": settings_places,
        }
