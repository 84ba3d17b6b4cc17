#!/usr/bin/python3
"""Ansible module: makes a directory hold exactly the given Python files, compiled, and nothing else."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: python_tree
short_description: Makes a directory hold exactly the given Python files, compiled, and nothing else
description:
  - One task and one connection for a whole package, however many files it has.
  - Each file is replaced atomically and only where its content or mode differs. Files and directories that
    are not among O(files), compiled ones included, are removed.
options:
  dest:
    description: The directory.
    type: path
    required: true
  files:
    description: Content of each file by its path below O(dest).
    type: dict
    required: true
  python:
    description: The interpreter that will run the files and therefore compiles them.
    type: path
    default: /usr/bin/python3
  owner:
    description: Owner of everything.
    type: str
    default: root
  group:
    description: Group of everything.
    type: str
    default: root
"""

FILE_MODE = 0o644
DIRECTORY_MODE = 0o755


def wanted_directories(names: list[str]) -> set[str]:
    """Return the directories that the files `names` need, the top as an empty string."""
    return {"/".join(name.split("/")[:depth]) for name in names for depth in range(name.count("/") + 1)}


def compiled_name(name: str, tag: str) -> str:
    """Return where the interpreter with the cache tag `tag` keeps the compiled form of the file `name`."""
    head, _, tail = name.rpartition("/")
    return f"{head}/__pycache__/".lstrip("/") + f"{tail.removesuffix('.py')}.{tag}.pyc"


def surplus(present: list[str], wanted: set[str]) -> list[str]:
    """Return the files of `present` that are not in `wanted`."""
    return sorted(set(present) - wanted)


class Tree:
    """The directory on the host: `changes` collects what differs, and is done unless in check mode."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.dest = Path(module.params["dest"])
        self.files: dict[str, bytes] = {
            name: text.encode("utf-8") for name, text in module.params["files"].items()
        }
        self.changes: list[str] = []
        self.written: set[str] = set()

    def attributes(self, path: Path, *, mode: int) -> None:
        """Give the file or directory its owner, group and mode."""
        arguments = self.module.load_file_common_arguments(
            {**self.module.params, "path": str(path), "mode": f"{mode:o}"}
        )
        if path.exists() and self.module.set_fs_attributes_if_different(arguments, False):  # noqa: FBT003 # its own order
            self.changes.append(f"attributes of {path}")

    def make_directories(self) -> None:
        """Make every directory that a file needs."""
        for name in sorted(wanted_directories(list(self.files))):
            path = self.dest / name
            if not path.is_dir() or path.is_symlink():
                self.changes.append(f"directory {path}")
                if not self.module.check_mode:
                    if path.is_symlink() or path.exists():
                        path.unlink()
                    path.mkdir(parents=True, mode=DIRECTORY_MODE)
            self.attributes(path, mode=DIRECTORY_MODE)

    def write_files(self) -> None:
        """Write every file whose content differs."""
        for name, content in self.files.items():
            path = self.dest / name
            if not path.is_file() or path.is_symlink() or path.read_bytes() != content:
                self.changes.append(f"content of {path}")
                self.written.add(name)
                if self.module.check_mode:
                    continue
                descriptor, temporary = tempfile.mkstemp(dir=self.module.tmpdir)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                self.module.atomic_move(temporary, str(path))
            self.attributes(path, mode=FILE_MODE)

    def remove_surplus(self, tag: str) -> None:
        """Remove every file that is neither wanted nor the compiled form of one, and empty directories."""
        wanted = set(self.files) | {compiled_name(name, tag) for name in self.files if name.endswith(".py")}
        found = [path for path in self.dest.rglob("*") if path.is_symlink() or not path.is_dir()]
        for name in surplus([str(path.relative_to(self.dest)) for path in found], wanted):
            self.changes.append(f"removal of {self.dest / name}")
            if not self.module.check_mode:
                (self.dest / name).unlink()
        keep = wanted_directories(sorted(wanted))
        for path in sorted(self.dest.rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink() and str(path.relative_to(self.dest)) not in keep:
                self.changes.append(f"removal of {path}")
                if not self.module.check_mode:
                    shutil.rmtree(path)

    def compile(self, python: str, tag: str) -> None:
        """Compile what has no compiled form of its present content."""
        stale = [
            name
            for name in self.files
            if name.endswith(".py")
            and (
                name in self.written
                or not is_compiled(self.dest / name, self.dest / compiled_name(name, tag))
            )
        ]
        if not stale:
            return
        self.changes.append(f"compiled form of {len(stale)} files")
        if self.module.check_mode:
            return
        paths = [str(self.dest / name) for name in stale]
        code, out, err = self.module.run_command(
            [python, "-I", "-m", "compileall", "-q", "-f", *paths], umask=0o022
        )
        if code:
            self.module.fail_json(msg=f"{python} cannot compile the files: {out}{err}")


def is_compiled(source: Path, compiled: Path) -> bool:
    """Say whether `compiled` was made from `source` as it is, by the time and size that Python noted."""
    try:
        status = source.stat()
        with compiled.open("rb") as file:
            header = file.read(16)
    except OSError:
        return False
    noted = (int.from_bytes(header[8:12], "little"), int.from_bytes(header[12:16], "little"))
    return header[4:8] == bytes(4) and noted == (
        int(status.st_mtime) & 0xFFFFFFFF,
        status.st_size & 0xFFFFFFFF,
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "files": {"type": "dict", "required": True},
            "python": {"type": "path", "default": "/usr/bin/python3"},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
        },
        supports_check_mode=True,
    )
    for name in module.params["files"]:
        if name.startswith("/") or ".." in name.split("/"):
            module.fail_json(msg=f"{name} leaves the directory {module.params['dest']}")
    python = module.params["python"]
    code, tag, err = module.run_command(
        [python, "-I", "-S", "-c", "import sys; print(sys.implementation.cache_tag)"]
    )
    if code:
        module.fail_json(msg=f"The interpreter {python} does not run: {err}")
    tree = Tree(module)
    tree.make_directories()
    tree.write_files()
    tree.remove_surplus(tag.strip())
    tree.compile(python, tag.strip())
    module.exit_json(
        changed=bool(tree.changes),
        diff={"before": "", "after": "".join(f"{change}\n" for change in tree.changes)},
        changes=tree.changes,
    )


if __name__ == "__main__":
    main()
