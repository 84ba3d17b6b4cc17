"""The check of the client: Claude Code is there, and new enough to block when its guard cannot run."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from claude_code_doctor.finding import either, note, unseen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from claude_code_doctor.finding import Finding
    from claude_code_doctor.site import Host

PLACES = ("/usr/local/bin/claude", "/usr/bin/claude", "/opt/homebrew/bin/claude")
IN_A_HOME = (".local/bin/claude", ".claude/local/claude", ".npm-global/bin/claude")
VERSION = re.compile(r"\d+(?:\.\d+)+")
NOBODY = 65534
PATIENCE = 30.0
"""Seconds that a client may take to say its version."""


def examine(host: Host) -> Iterator[Finding]:
    """Yield what was found."""
    clients = find(host.homes)
    if not clients:
        yield note(
            "client", "no Claude Code was found on this host; nothing is measured until it is installed"
        )
        yield unseen("client-version", "there is no client")
        return
    versions = {path: ask(path, user) for path, user in clients.items()}
    yield either(
        "client", [f"{path} does not run" for path in versions if not versions[path]], ", ".join(clients)
    )
    yield judge(versions, host.site.oldest_client)


def judge(versions: Mapping[str, str], oldest: str) -> Finding:
    """Judge the versions of clients by their path; "" is one that could not be asked."""
    old = [
        f"{path} is {version} and should be {oldest} or later"
        for path, version in versions.items()
        if version and parts(version) < parts(oldest)
    ]
    return either(
        "client-version", old, ", ".join(sorted({v for v in versions.values() if v})) or "not known"
    )


def parts(version: str) -> tuple[int, ...]:
    """Return a version's numbers, to be compared."""
    return tuple(int(number) for number in VERSION.findall(version)[0].split(".")) if version else ()


def find(homes: Mapping[str, Path]) -> dict[str, str]:
    """Return the paths of the clients that people here may start, each with whose home it is in."""
    paths = dict.fromkeys([shutil.which("claude") or "", *PLACES], "")
    paths |= {str(home / place): user for user, home in homes.items() for place in IN_A_HOME}
    return {path: user for path, user in paths.items() if path and os.access(path, os.X_OK)}


def ask(path: str, user: str = "") -> str:
    """Return the version that a client says it is, or nothing.

    Root never runs what somebody else may write: a client is started as the `user` in whose home it is,
    another as its owner, root's own as nobody.
    """
    options: dict[str, object] = {}
    if os.geteuid() == 0:
        owner = pwd.getpwnam(user).pw_uid if user else Path(path).resolve().stat().st_uid
        owner = owner or NOBODY
        try:
            group = pwd.getpwuid(owner).pw_gid
        except KeyError:
            group = owner
        options = {"user": owner, "group": group, "extra_groups": []}
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "DISABLE_AUTOUPDATER": "1"}
    try:
        done = subprocess.run(  # type: ignore[call-overload] # the options of its own making
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            cwd="/",
            env=env,
            stdin=subprocess.DEVNULL,
            **options,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    found = VERSION.search(done.stdout)
    return found[0] if found and done.returncode == 0 else ""
