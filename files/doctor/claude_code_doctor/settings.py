"""The checks of settings: whose win, and whether the telemetry's environment is the one that is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_code_doctor.finding import either, fail, note, ok, unseen
from claude_code_doctor.policy import (
    CONTENT,
    environment,
    is_of_telemetry,
    judge_of,
    overrides,
    own_environment,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from claude_code_doctor.finding import Finding
    from claude_code_doctor.policy import Source
    from claude_code_doctor.site import Host

OURS = "40-observability-telemetry.json"
MERELY_NOTED = ("hooks-disabled-by-user", "managed-hooks-only")
WELL = {
    "settings-readable": "every file of managed settings can be read",
    "managed-source": "managed settings come from this host's files",
    "hooks-disabled": "no managed settings disable hooks",
    "hooks-disabled-by-user": "no user's settings disable hooks",
    "managed-hooks-only": "hooks of users and projects may run too",
}


def examine(host: Host) -> Iterator[Finding]:
    """Yield what was found."""
    yield from _policy(host.settings, ours_are_managed=not host.site.registered)
    yield from telemetry(environment(host.settings), host.site.environment)
    yield _users(host)
    yield _projects(host)


def _policy(sources: list[Source], *, ours_are_managed: bool) -> Iterator[Finding]:
    found: dict[str, list[str]] = {name: [] for name in WELL}
    for override in overrides(sources):
        found[override.name].append(f"{override.file}: {override.detail}")
    hidden = [source.file for source in sources if not source.seen and source.kind != "project"]
    for name, problems in found.items():
        if problems:
            noted = ours_are_managed and name in MERELY_NOTED
            yield (note if noted else fail)(name, "; ".join(problems))
        elif hidden and name in ("managed-source", "settings-readable"):
            yield unseen(name, f"{', '.join(hidden)} may be read by others only")
        else:
            yield ok(name, WELL[name])


def telemetry(given: Mapping[str, tuple[str, str]], wanted: Mapping[str, str]) -> Iterator[Finding]:
    """Yield how the environment that managed settings give differs from the one that is wanted.

    given: each variable's value and the file that sets it.
    """
    missing = [name for name in wanted if name not in given]
    if wanted and len(missing) == len(wanted):
        yield fail("telemetry-registered", f"no managed settings hold it; {OURS} is missing")
    else:
        yield either(
            "telemetry-registered", [f"{name} is not set" for name in missing], "switched on for all"
        )
    wrong = {
        name: f"{file} sets {name} to {value!r} instead of {wanted[name]!r}"
        for name, (value, file) in given.items()
        if name in wanted and value != wanted[name]
    }
    # What nobody wanted and yet leads the telemetry elsewhere, or sends content.
    for name, (value, file) in given.items():
        sends = name in CONTENT and value not in ("", "0", "false")
        if name not in wanted and (sends or judge_of(name) == "telemetry-endpoint"):
            wrong[name] = f"{file} sets {name} to {value!r}"
    there = wanted.get("OTEL_EXPORTER_OTLP_ENDPOINT", "where the inventory says")
    well = {
        "telemetry-endpoint": f"it goes to {there}",
        "telemetry-content": "no content beyond what the inventory says",
        "telemetry-environment": "every other variable is as the inventory says",
    }
    for judge, text in well.items():
        yield either(judge, [each for name, each in wrong.items() if judge_of(name) == judge], text)


def _users(host: Host) -> Finding:
    """Judge what users set themselves: managed settings win, but not for a variable they leave out."""
    given = environment(host.settings)
    lost: list[str] = []
    shadowed: list[str] = []
    for source, name, value in own_environment(host.settings):
        if is_of_telemetry(name):
            text = f"{source.file} sets {name}"
            (shadowed if name in given else lost).append(text if name in given else f"{text} to {value!r}")
    if lost:
        return fail("telemetry-users", "; ".join(lost))
    if shadowed:
        return note("telemetry-users", f"{'; '.join(shadowed)}; managed settings win")
    return ok("telemetry-users", "no user's settings speak of telemetry")


def _projects(host: Host) -> Finding:
    """Say what projects set, in vain."""
    found = [
        f"{source.file} sets {name}"
        for source, name, _ in own_environment(host.settings, kind="project")
        if is_of_telemetry(name)
    ]
    if found:
        return note("telemetry-projects", "; ".join(found))
    return ok("telemetry-projects", "no project's settings that were looked at speak of telemetry")
