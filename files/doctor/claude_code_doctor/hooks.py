"""The checks of the hooks: installed as deployed, registered, and a guard that really decides."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from claude_code_exporter import posture
from claude_code_exporter.config import Guard

from claude_code_doctor.finding import either, fail, note, ok

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from claude_code_doctor.finding import Finding
    from claude_code_doctor.site import Host, Site

SHFMT = ("/usr/bin/shfmt", "/usr/local/bin/shfmt", "/opt/homebrew/bin/shfmt")
FEW = 3
"""How many files a sentence names."""


def examine(host: Host) -> Iterator[Finding]:
    """Yield what was found."""
    yield _interpreter(host.site)
    yield from files(host.site)
    yield _shfmt()
    yield _registered(host.site)
    yield _effective(host.site)


def _interpreter(site: Site) -> Finding:
    name = "interpreter"
    try:
        done = subprocess.run(
            [
                site.python,
                "-I",
                "-S",
                "-c",
                "import json, sys; print('.'.join(map(str, sys.version_info[:3])))",
            ],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return fail(name, f"{site.python} does not run: {error}")
    return ok(name, f"{site.python} is Python {done.stdout.strip()}")


def files(site: Site) -> Iterator[Finding]:
    """Yield whether code and configuration are there and as they were deployed."""
    code = {file: wanted for file, wanted in site.files.items() if file.endswith(".py")}
    strange = [
        str(path)
        for path in Path(site.hooks_dir).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and str(path) not in code
    ]
    yield _compared("code", code, strange, f"of version {site.version} ")
    configuration = {file: wanted for file, wanted in site.files.items() if file not in code}
    yield _compared("configuration", configuration, [], "")


def _compared(name: str, files: Mapping[str, str], strange: list[str], version: str) -> Finding:
    missing, changed, hidden = [], [], []
    for file, wanted in files.items():
        try:
            if hashlib.sha256(Path(file).read_bytes()).hexdigest() != wanted:
                changed.append(file)
        except PermissionError:
            hidden.append(file)
        except OSError:
            missing.append(file)
    problems = [*_few("is missing", missing), *_few("is not as deployed", changed)]
    problems += _few("was not deployed", strange)
    well = f"{len(files) - len(hidden)} files {version}are as deployed"
    if hidden:
        well += f"; {', '.join(hidden)} may be read by others only"
    return either(name, problems, well)


def _few(what: str, names: list[str]) -> list[str]:
    more = f" (and {len(names) - FEW} more)" if len(names) > FEW else ""
    return [f"{', '.join(names[:FEW])}{more} {what}"] if names else []


def _shfmt() -> Finding:
    for path in SHFMT:
        if os.access(path, os.X_OK):
            return ok("shfmt", path)
    return fail("shfmt", f"none of {', '.join(SHFMT)} is there")


def _registered(site: Site) -> Finding:
    name = "hooks-registered"
    problems, well = [], ""
    for file in _registrations(site):
        try:
            command, limit = posture.registered(file, f"{site.hooks_dir}/{posture.SCRIPT}")
        except posture.Fault as fault:
            problems.append(str(fault))
        else:
            well = f"{file} has {command[0]} start the guard before every tool call, within {limit:.0f} s"
    return either(name, problems, well)


def _registrations(site: Site) -> list[Path]:
    """Return the settings that must register the guard, and that whoever runs the doctor may read."""
    if not site.registered:
        return [Path(site.settings_dir, posture.DROP_IN)]
    try:
        places = json.loads(Path(site.registered).read_bytes())["places"]
        files = [Path(each.get("checkout") or Path(f"~{each['user']}").expanduser()) for each in places]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError):
        return [Path(site.registered)]  # which then says what is wrong with it
    found = [file / ".claude/settings.json" for file in files]
    return [file for file in found if os.access(file.parent, os.X_OK)] or [Path(site.registered)]


def _effective(site: Site) -> Finding:
    """Ask the installed guard, by the command line that is registered, what it must know."""
    name = "guard-effective"
    record = Path(site.registered) if site.registered else None
    guard = Guard(hooks_dir=Path(site.hooks_dir), settings_dir=Path(site.settings_dir), registered=record)
    found = posture.examine(guard)
    if found is None:
        return fail(name, "no hooks are installed")
    if found.fault and site.guard_mode == "audit":
        return note(name, f"the inventory has the guard only watch ({found.fault})")
    if found.fault:
        return fail(name, found.fault)
    return ok(name, "three forbidden calls are stopped, an ordinary one passes")
