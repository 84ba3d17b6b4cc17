#!/usr/bin/python3
"""Ansible module: knows which of its files a daemon has read, and what is owed after a run that broke off."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: daemon_reads
short_description: Knows which of its files a daemon has read
description:
  - A run that ends between writing a file and its handler leaves a daemon behind that has not read it, and
    the next run finds nothing to write. So a handler, when it is done, remembers here what the daemon has
    read then. Where a file is another one since, the handler is owed.
  - Contents are compared, not times, so that a clock that was set does no harm.
options:
  daemon:
    description: The daemon's name.
    type: str
    required: true
  files:
    description: What is read, by the handler that brings it in. A directory stands for all files below it.
    type: dict
    default: {}
  state:
    description:
      - C(asked) says what is owed; C(read) remembers that all is read now; C(forgotten) removes the record.
    type: str
    choices: [asked, read, forgotten]
    default: asked
  only:
    description: With C(read), the handlers whose files were read; all by default.
    type: list
    elements: str
    default: []
"""

RECORDS = Path("/var/lib/claude-code-observability-daemons")


def found(path: str) -> list[Path]:
    """Return the files of a path in a fixed order: itself, or those below the directory but compiled ones."""
    place = Path(path)
    if place.is_dir():
        return sorted(one for one in place.rglob("*") if one.is_file() and one.parent.name != "__pycache__")
    return [place] if place.exists() else []


def digest(files: list[Path]) -> str:
    """Return one digest of the names and contents of files."""
    whole = hashlib.sha256()
    for path in files:
        whole.update(f"{path}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    return whole.hexdigest()


def owed(present: dict[str, list[Path]], read: dict[str, str]) -> list[str]:
    """Return the handlers whose files are there and not as the daemon has read them."""
    return [
        name for name, files in present.items() if (files or name in read) and read.get(name) != digest(files)
    ]


def remembered(record: Path) -> dict[str, str]:
    """Return the digests of what was read, by handler; nothing where nothing is known."""
    try:
        known: dict[str, str] = json.loads(record.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return known


def write(record: Path, read: dict[str, str]) -> None:
    """Keep the digests, readable by root alone: they are of secrets, too."""
    record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=record.parent, prefix=f".{record.name}.")
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(read, indent=2, sort_keys=True) + "\n")
    Path(name).replace(record)


def forget(record: Path) -> None:
    """Remove the record, and its directory with the last one."""
    record.unlink()
    with contextlib.suppress(OSError):
        record.parent.rmdir()


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "daemon": {"type": "str", "required": True},
            "files": {"type": "dict", "default": {}},
            "state": {"type": "str", "choices": ["asked", "read", "forgotten"], "default": "asked"},
            "only": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    given, record = module.params, RECORDS / f"{module.params['daemon']}.json"
    result: dict[str, Any] = {"changed": False}
    try:
        read = remembered(record)
        present = {
            name: [file for path in paths for file in found(path)] for name, paths in given["files"].items()
        }
        if given["state"] == "asked":
            result |= {"owed": owed(present, read), "known": bool(read)}
        elif given["state"] == "read":
            now = {name: digest(present[name]) for name in given["only"] or present}
            # Check mode has written nothing to compare; but a handler runs only for what is new.
            result["changed"] = module.check_mode or {**read, **now} != read
            if result["changed"] and not module.check_mode:
                write(record, {**{name: read[name] for name in read if name in present}, **now})
        elif record.exists():
            result["changed"] = True
            if not module.check_mode:
                forget(record)
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or record} cannot be read or written: {error.strerror or error}"
        )
    if result["changed"]:
        result["diff"] = {
            "before_header": str(record),
            "after_header": str(record),
            "before": "",
            "after": "",
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
