#!/usr/bin/python3
"""Ansible module: makes several directories and files of a host what they shall be, in one task."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shlex
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: file_set
short_description: Makes several directories and files what they shall be, in one task
description:
  - Every module that runs costs a host a start of Python, and copying a file takes two; here all take one.
  - First the directories are made, in the order given, then the files are written, then what is not wanted is
    removed. A file appears whole and with its owner and mode, so that a secret is at no time open to others.
  - What a module is given is written to the host's log, so a task with secrets needs C(no_log).
options:
  directories:
    description: Directories, each with its own owner (root), group (root) and mode (0755).
    type: list
    elements: dict
    default: []
  files:
    description: Content of each file by its path.
    type: dict
    default: {}
  absent:
    description: Files that shall not be there.
    type: list
    elements: path
    default: []
  owner:
    description: Owner of the files.
    type: str
    default: root
  group:
    description: Group of the files.
    type: str
    default: root
  mode:
    description: Mode of the files.
    type: raw
    default: "0644"
  checks:
    description: A command by a file's path, with %s for the file to check before it replaces the old one.
    type: dict
    default: {}
"""


class Host:
    """What is changed, or in check mode would be: ``changes`` are the paths, ``diffs`` before and after."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.changes: list[str] = []
        self.diffs: list[dict[str, str]] = []

    def change(self, path: Path, *, before: str, after: str) -> None:
        """Remember that a path changes."""
        self.changes.append(str(path))
        header = str(path)
        self.diffs.append({"before_header": header, "after_header": header, "before": before, "after": after})

    def set(self, path: str, wanted: dict[str, Any]) -> dict[str, Any] | None:
        """Give what is there its owner, group and mode; return what differed, or None."""
        if self.module.check_mode and not known(wanted):
            return {}
        arguments = self.module.load_file_common_arguments({**wanted, "path": path})
        diff: dict[str, Any] = {}
        differed = self.module.set_fs_attributes_if_different(arguments, False, diff)  # noqa: FBT003 # its own order
        return diff if differed else None

    def attributes(self, path: Path, wanted: dict[str, Any]) -> None:
        """Bring owner, group and mode in order where they differ."""
        diff = self.set(str(path), wanted)
        if diff is not None:
            self.change(path, before=described(diff.get("before")), after=described(diff.get("after")))

    def directory(self, path: Path, wanted: dict[str, Any]) -> None:
        """Make a directory, and the missing ones above it."""
        if path.is_dir():
            self.attributes(path, wanted)
            return
        self.change(path, before="", after="directory\n")
        if not self.module.check_mode:
            path.mkdir(parents=True)
            self.set(str(path), wanted)

    def file(self, path: Path, content: bytes, wanted: dict[str, Any], check: str) -> None:
        """Write a file whose content differs, and close it before it has its name."""
        path = Path(os.path.realpath(path))
        try:
            before = path.read_bytes()
        except FileNotFoundError:
            before = None
        if before == content:
            self.attributes(path, wanted)
            return
        if not self.module.check_mode:
            self.replace(path, content, wanted, check)
        self.change(path, before=text(before or b""), after=text(content))

    def replace(self, path: Path, content: bytes, wanted: dict[str, Any], check: str) -> None:
        """Put a file in the place of the old one, if there is one and if its checker accepts it."""
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            if check:
                code, out, err = self.module.run_command(check.replace("%s", shlex.quote(name)))
                if code:
                    said = (err or out).strip().replace(name, str(path))
                    self.module.fail_json(msg=f"{path} failed to validate and was not written: {said}")
            self.set(name, wanted)
            Path(name).replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()

    def remove(self, path: Path) -> None:
        """Remove a file that is there."""
        if not os.path.lexists(path):
            return
        self.change(path, before="file\n", after="")
        if not self.module.check_mode:
            path.unlink()


def known(wanted: dict[str, Any]) -> bool:
    """Say whether the host has that owner and that group: in check mode nobody has made them yet."""
    try:
        pwd.getpwnam(str(wanted["owner"]))
        grp.getgrnam(str(wanted["group"]))
    except KeyError:
        return False
    return True


def text(content: bytes) -> str:
    """Return content as a diff shows it."""
    return content.decode("utf-8", "replace")


def described(attributes: dict[str, Any] | None) -> str:
    """Return owner, group and mode as lines."""
    return "".join(f"{key}: {value}\n" for key, value in sorted((attributes or {}).items()))


def main() -> None:
    """Run the module."""
    attributes = {"owner": "root", "group": "root"}
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "dict", "default": []},
            "files": {"type": "dict", "default": {}},
            "absent": {"type": "list", "elements": "path", "default": []},
            **{name: {"type": "str", "default": value} for name, value in attributes.items()},
            "mode": {"type": "raw", "default": "0644"},
            "checks": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    host = Host(module)
    given = module.params
    try:
        for directory in given["directories"]:
            wanted = {**attributes, "mode": "0755", **directory}
            host.directory(Path(wanted.pop("path")), wanted)
        for name, content in given["files"].items():
            wanted = {key: given[key] for key in ("owner", "group", "mode")}
            host.file(Path(name), str(content).encode(), wanted, given["checks"].get(name, ""))
        for name in given["absent"]:
            host.remove(Path(name))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'A file'} cannot be written: {error.strerror or error}")
    result: dict[str, Any] = {"changed": bool(host.changes), "changes": host.changes}
    if module._diff:  # noqa: SLF001 # there is no public name for it
        result["diff"] = host.diffs
    module.exit_json(**result)


if __name__ == "__main__":
    main()
