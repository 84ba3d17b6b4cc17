"""Managed settings made from the settings of the bundle, which hold the one list of registered events."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

COPIED = 'python3 -S "$CLAUDE_PROJECT_DIR/.claude/hooks/'
GUARD = "PreToolUse"


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
    for event in disabled:
        if event == GUARD:
            message = f"{where}: {GUARD} is the guard's; set claude_hooks_guard_mode to audit to let all pass"
            raise ValueError(message)
        if event not in hooks:
            message = f"{where}: {event} is not registered; known are {', '.join(sorted(hooks))}"
            raise ValueError(message)

    def installed(event: str, hook: Mapping[str, Any]) -> dict[str, Any]:
        command = hook["command"]
        if not command.startswith(COPIED) or not command.endswith('"'):
            message = f"files/claude/settings.json: the command of {event} is none of the bundle's: {command}"
            raise ValueError(message)
        script = f"{directory}/{command[len(COPIED) : -1]}"
        words = [python, "-I", "-S", script, "--config", config]
        return {
            **hook,
            "command": " ".join(shlex.quote(word) for word in words),
            "timeout": guard_timeout if event == GUARD else timeout,
        }

    return {
        event: [{**group, "hooks": [installed(event, hook) for hook in group["hooks"]]} for group in groups]
        for event, groups in hooks.items()
        if event not in disabled
    }


class FilterModule:
    """The filters of this file, by the names that templates use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return name → function."""
        return {"managed_hooks": managed_hooks}
