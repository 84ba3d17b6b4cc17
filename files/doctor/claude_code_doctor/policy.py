"""Whose settings Claude Code follows on this host: every source there is, and what of ours it would override.

Needs nothing beside it. `python3 -I policy.py SETTINGS_DIR` prints what it found as a JSON list of objects:
`name`, `file` and `detail`, for those who look before a doctor is installed. With the name of our drop-in of
telemetry as a second word, and directories of projects behind it, it prints what changes that. The rules
come from https://code.claude.com/docs/en/managed-settings and
https://code.claude.com/docs/en/server-managed-settings.
"""

from __future__ import annotations

import json
import os
import plistlib
import pwd
import stat
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Kind = Literal["server", "mdm", "managed", "user", "project"]
LARGEST = 4 << 20
"""Bytes of a settings file; one that is larger is not read."""
PREFERENCES = "com.anthropic.claudecode.plist"
CONTENT = (
    "OTEL_LOG_USER_PROMPTS",
    "OTEL_LOG_ASSISTANT_RESPONSES",
    "OTEL_LOG_TOOL_DETAILS",
    "OTEL_LOG_TOOL_CONTENT",
    "OTEL_LOG_RAW_API_BODIES",
)
"""Switches that send what people wrote or what tools read."""
FIRST_PERSON, LAST_PERSON = 1000, 60000
"""User ids between which Debian and its relatives give accounts to people."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file of settings: of which kind, whose (empty for everybody's), and what it says.

    `error` is a few words if it cannot be read, and `values` is empty then. `seen` is false where only a
    permission is wanting.
    """

    kind: Kind
    file: str
    user: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    seen: bool = True


@dataclass(frozen=True, slots=True)
class Override:
    """Something that a source does to ours: `name` is that of a check, `detail` some words about it."""

    name: str
    file: str
    detail: str


def people() -> dict[str, Path]:
    """Return the home directory of each person who may use Claude Code here, by their name: root sees all."""
    accounts = pwd.getpwall() if os.geteuid() == 0 else [pwd.getpwuid(os.geteuid())]
    return {
        account.pw_name: Path(account.pw_dir)
        for account in accounts
        if account.pw_uid in (0, os.geteuid()) or FIRST_PERSON <= account.pw_uid < LAST_PERSON
    }


def read(settings_dir: Path, homes: Mapping[str, Path]) -> list[Source]:
    """Return the sources that are there, in the order in which Claude Code merges those of one kind.

    settings_dir: the directory of drop-ins, `managed-settings.d`. homes: the home of each user to look at.
    """
    found = []
    for user, home in homes.items():
        found += _file("server", home / ".claude/remote-settings.json", user)
        found += _file("mdm", Path("/Library/Managed Preferences", user, PREFERENCES), user)
    found += _file("mdm", Path("/Library/Managed Preferences", PREFERENCES))
    found += _file("managed", settings_dir.parent / "managed-settings.json")
    try:
        drop_ins = sorted(path for path in settings_dir.iterdir() if path.suffix == ".json")
    except OSError:
        drop_ins = []
    for path in drop_ins:
        if not path.name.startswith("."):
            found += _file("managed", path)
    for user, home in homes.items():
        found += _file("user", home / ".claude/settings.json", user)
    return found


def project(directory: Path) -> list[Source]:
    """Return the settings of the project in `directory`, the shared ones and those of whoever works in it."""
    names = (".claude/settings.json", ".claude/settings.local.json")
    return [source for name in names for source in _file("project", directory / name)]


def _file(kind: Kind, path: Path, user: str = "") -> list[Source]:
    """Return the source at `path`, or nothing where there is none."""
    try:
        # A person may have put anything there: a pipe is not waited for, a device not read.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        denied = isinstance(error, PermissionError)
        return [Source(kind, str(path), user, error=str(error.strerror), seen=not denied)]
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return [Source(kind, str(path), user, error="it is no file")]
        try:
            text = file.read(LARGEST + 1)
            values = plistlib.loads(text) if kind == "mdm" else json.loads(text)
        except OSError as error:
            return [Source(kind, str(path), user, error=str(error.strerror))]
        except (ValueError, RecursionError, plistlib.InvalidFileException):
            return [
                Source(kind, str(path), user, error="it is not JSON" if kind != "mdm" else "it is no plist")
            ]
    if not isinstance(values, dict):
        return [Source(kind, str(path), user, error="it holds no JSON object")]
    return [Source(kind, str(path), user, values=values)]


def overrides(sources: Sequence[Source]) -> Iterator[Override]:
    """Yield what the sources do to hooks and settings of ours."""
    merged = any(_managed(source) and _merges(source) for source in sources)
    for source in sources:
        if source.error and source.seen and _managed(source):
            yield Override("settings-readable", source.file, source.error)
        if source.kind in ("server", "mdm") and source.values and not merged:
            who = f"for {source.user}" if source.user else "for everybody"
            kind = "server-managed settings" if source.kind == "server" else "the device's management"
            yield Override("managed-source", source.file, f"{kind} win {who}, and files of ours are not read")
        if source.values.get("disableAllHooks"):
            name = "hooks-disabled" if _managed(source) else "hooks-disabled-by-user"
            yield Override(name, source.file, "disableAllHooks is set")
        if source.values.get("allowManagedHooksOnly") and _managed(source):
            yield Override("managed-hooks-only", source.file, "allowManagedHooksOnly is set")
        plugins = source.values.get("strictPluginOnlyCustomization")
        if _managed(source) and (plugins is True or (isinstance(plugins, list) and "hooks" in plugins)):
            yield Override("managed-hooks-only", source.file, "strictPluginOnlyCustomization is set")


def astray(sources: Sequence[Source], own: str) -> Iterator[Override]:
    """Yield what leads the telemetry of the drop-in named `own` elsewhere, or changes it.

    Managed files win over it if they come later, users' settings where it says nothing. A project's variables
    of telemetry Claude Code ignores.
    """
    given = environment(sources)
    ours = next((each.values.get("env") for each in sources if Path(each.file).name == own), None)
    if not isinstance(ours, dict):
        return
    for name, (value, file) in given.items():
        if Path(file).name == own:
            continue
        if name in ours and value != str(ours[name]):
            yield Override(judge_of(name), file, f"{name} is set to another value")
        elif name not in ours and name.startswith("OTEL_EXPORTER_OTLP_"):
            yield Override(judge_of(name), file, f"{name} is set")
    for source, name, _ in own_environment(sources):
        if name not in given and name.startswith("OTEL_"):
            yield Override(
                "telemetry-users", source.file, f"{name} is set, and managed settings leave it open"
            )
    for source, name, value in own_environment(sources, kind="project"):
        if is_of_telemetry(name) and given.get(name, ("",))[0] != value:
            yield Override(
                "telemetry-projects", source.file, f"{name} is set, which Claude Code ignores in a project"
            )


def is_of_telemetry(variable: str) -> bool:
    """Say whether a variable of the environment is one of telemetry."""
    return variable == "CLAUDE_CODE_ENABLE_TELEMETRY" or variable.startswith("OTEL_")


def judge_of(variable: str) -> str:
    """Return the check that judges what managed settings make of a variable of telemetry."""
    if variable.startswith("OTEL_EXPORTER_OTLP_") and variable.endswith("_ENDPOINT"):
        return "telemetry-endpoint"
    return "telemetry-content" if variable in CONTENT else "telemetry-environment"


def environment(sources: Sequence[Source]) -> dict[str, tuple[str, str]]:
    """Return the environment that managed files give every session: each variable's value, and the file."""
    found: dict[str, tuple[str, str]] = {}
    for source in sources:
        env = source.values.get("env")
        if source.kind == "managed" and isinstance(env, dict):
            found |= {str(name): (str(value), source.file) for name, value in env.items()}
    return found


def own_environment(sources: Sequence[Source], kind: Kind = "user") -> Iterator[tuple[Source, str, str]]:
    """Yield each variable that users' own settings set, or projects': where, its name and its value."""
    for source in sources:
        env = source.values.get("env")
        if source.kind == kind and isinstance(env, dict):
            for name, value in env.items():
                yield source, str(name), str(value)


def _managed(source: Source) -> bool:
    return source.kind not in ("user", "project")


def _merges(source: Source) -> bool:
    return source.values.get("managedSourcesBehavior") == "merge"


if __name__ == "__main__":
    seen = read(Path(sys.argv[1]), people())
    for directory in sys.argv[3:]:
        seen += project(Path(directory))
    found = astray(seen, sys.argv[2]) if len(sys.argv) > 2 else overrides(seen)
    sys.stdout.write(json.dumps([asdict(override) for override in found], indent=1) + "\n")
