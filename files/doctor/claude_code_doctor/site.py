"""What the deployment left on this host and wants of it: the manifest that role claude_doctor writes."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claude_code_doctor.policy import people, project, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claude_code_doctor.policy import Source

MANIFEST = Path("/etc/claude-code-observability/doctor.json")


class ManifestError(Exception):
    """The manifest cannot be used; the text is one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Site:
    """The manifest. Paths are absolute; hashes are SHA-256 in hexadecimal digits.

    files: the hash of each file that was deployed. environment: what managed settings shall say, without
    headers. prometheus: `url`, `username`, `password_file`, `ca_file` where this host may ask it, else empty.
    agent: address of the agent that sends to Prometheus, where there is one.
    registered: what was merged into whose settings; empty where managed settings register the hooks.
    """

    version: str
    instance: str
    hooks_dir: str
    hooks_config: str
    settings_dir: str
    journal_dir: str
    python: str
    exporter_config: str
    exporter_program: str
    exporter_user: str
    listen: str
    otlp_listen: str
    transport: str
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    prometheus: Mapping[str, str] = field(default_factory=dict)
    oldest_client: str = "0"
    least_free_mib: int = 0
    guard_mode: str = "scoped"
    registered: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """A host, as whoever runs the doctor can see it. `quick`: nobody wants to wait for a canary."""

    site: Site
    homes: Mapping[str, Path]
    settings: list[Source]
    root: bool
    quick: bool
    wait: float


def load(path: Path) -> Site:
    """Read the manifest. Raises ManifestError."""
    again = "deploy to this host again"
    try:
        values: Any = json.loads(path.read_bytes())
        known = {each.name for each in fields(Site)}
        return Site(**{key: value for key, value in values.items() if key in known})
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}), so it is not known what belongs here: {again}"
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        message = f"{path} is no manifest ({error}): {again}"
    raise ManifestError(message)


def checkouts(site: Site) -> list[Path]:
    """Return the projects that the hooks are merged into, as far as it can be read which those are."""
    try:
        places = json.loads(Path(site.registered).read_bytes())["places"] if site.registered else []
        return [Path(place["checkout"]) for place in places if "checkout" in place]
    except (OSError, ValueError, LookupError, TypeError):
        return []  # what is wrong with it, the check of the registration says


def look(site: Site, *, quick: bool, wait: float) -> Host:
    """See who is here, and what settings there are."""
    homes = people()
    sources = read(Path(site.settings_dir), homes)
    root = os.geteuid() == 0
    projects = checkouts(site)
    here = Path(os.environ.get("PWD", "/"))
    if not root and here not in (*homes.values(), *projects):  # somebody may stand in a project of theirs
        projects.append(here)
    for directory in projects:
        sources += project(directory)
    return Host(site, homes, sources, root=root, quick=quick, wait=wait)
