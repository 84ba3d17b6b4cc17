"""Where a deletion would strike: paths resolved as the shell and the kernel would, and judged."""

from __future__ import annotations

import os

from utils.guard.marks import CLASS, DEEP, GLOBS, is_known, matches, plain

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from utils.guard.policy import Policy

TEMPORARY = ("/tmp", "/var/tmp", "/private/tmp", "/private/var/tmp")  # noqa: S108 - judged, never written
GIT_INTERNALS = ("HEAD", "config", "hooks", "index", "info", "logs", "objects", "packed-refs", "refs")


def normal(path: str) -> str:
    """Return the absolute `path` without ``.``, ``..`` and repeated slashes, as text alone gives it."""
    if "/." not in path and "//" not in path and path[:1] == "/" and path[-1:] != "/":
        return path
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if parts:
                parts.pop()
        elif part and part != ".":
            parts.append(part)
    return "/" + "/".join(parts)


def inside(path: str, root: str) -> bool:
    """Say whether the normal `path` lies strictly inside the normal `root`."""
    return path != root and path.startswith(root if root == "/" else root + "/")


def is_deep(target: str) -> bool:
    """Say whether `target` stands for everything below a directory."""
    return DEEP in target


class Ground:
    """The directories that a call may and must not delete in.

    project, home: normal paths, or empty. safe_project: the project where something in it may be deleted.
    free: directories strictly inside which deletion is free: project, temporary, extra.
    links: symbolic links that the command itself makes, path to path.
    """

    __slots__ = (
        "_parents",
        "_real_free",
        "_real_project",
        "free",
        "home",
        "links",
        "project",
        "safe_project",
    )

    def __init__(self, policy: Policy, links: dict[str, str]) -> None:
        self.project = normal(policy.project) if policy.project.startswith("/") else ""
        self.home = normal(policy.home) if policy.home.startswith("/") else ""
        self.links = links
        self.safe_project = self.project
        home = self.home or "/root"
        if self.project.count("/") < 2 or self.project == home or inside(home, self.project):
            self.safe_project = ""  # a session started in /, /home or ~ makes nothing there free
        self.free = [normal(root) for root in policy.roots] + list(TEMPORARY)
        if policy.tmpdir.startswith("/"):
            tmpdir = normal(policy.tmpdir)
            if tmpdir.count("/") > 2 or tmpdir in TEMPORARY:
                self.free.append(tmpdir)
        if self.safe_project:
            self.free.append(self.safe_project)
        self._parents: dict[str, str] = {}
        self._real_free: list[str] = []
        self._real_project = ""

    def objection(self, target: str, cwd: str, *, any_depth: bool = False) -> str:
        """Return why `target` must not be deleted recursively with `cwd` as working directory, or nothing.

        target: a word in marks. any_depth: what the pattern names may lie at any depth, as ``find -name``
        finds it.
        """
        if not is_known(target):
            return f"the target {plain(target)} cannot be known"
        if target == "":
            return ""
        if target[0] == "~":
            return f"{plain(target)} reads as a home directory"
        if target[0] != "/":
            if not is_known(cwd) or cwd[:1] != "/":
                return f"the directory in which {plain(target)} lies cannot be known"
            shown, target = plain(target), f"{cwd}/{target}"
        else:
            shown = plain(target)
        path = normal(target)
        if not path.isascii() and any(mark in path for mark in GLOBS):
            return self._glob_objection(path, shown, any_depth=any_depth)
        return self._plain_objection(path, shown, follows=target.endswith(("/", "/.")))

    def _plain_objection(self, path: str, shown: str, *, follows: bool) -> str:
        project = self.project
        if path == "/" or (project and inside(project, path)):
            return f"{shown} is the root or a parent of the project"
        if project and path == project:
            return f"{shown} is the project directory itself"
        if self.home and (path == self.home or inside(self.home, path)):
            return f"{shown} is the home directory or a parent of it"
        if project and path[: len(project) + 5].lower() in (
            f"{project}/.git".lower(),
            f"{project}/.git/".lower(),
        ):
            return f"{shown} is the project's git history"
        if not any(inside(path, root) for root in self.free):
            return f"{shown} is outside the project and the temporary directories"
        return self._link_objection(path, shown, follows=follows)

    def _link_objection(self, path: str, shown: str, *, follows: bool) -> str:
        real = self._real(path, follows=follows)
        if real == path:
            return ""
        if not self._real_free:
            self._real_free = [*self.free, *(os.path.realpath(root) for root in self.free)]
            self._real_project = os.path.realpath(self.project) if self.project else ""
        if not any(inside(real, root) for root in self._real_free):
            return f"{shown} leads through a symbolic link to {real}"
        if self._real_project and (real == self._real_project or inside(self._real_project, real)):
            return f"{shown} leads through a symbolic link to the project itself"
        return ""

    def _glob_objection(self, path: str, shown: str, *, any_depth: bool) -> str:
        """Judge a pattern by the directory it starts in and by how much of it is literal."""
        parts = path[1:].split("/")
        first = next(i for i, part in enumerate(parts) if any(mark in part for mark in GLOBS))
        base = "/" + "/".join(parts[:first])
        pattern = parts[first:]
        if any(inside(base, root) for root in self.free):
            return self._plain_objection(base, shown, follows=True)
        if base not in self.free:
            return f"{shown} is outside the project and the temporary directories"
        if not any(_says_something(part) for part in pattern):
            kind = "the whole project" if base == self.safe_project else "a whole temporary directory"
            return f"{shown} is {kind}"
        last = pattern[-1]
        if base == self.safe_project:
            if (len(pattern) == 1 or any_depth) and matches(last.lower(), ".git"):
                return f"{shown} may match the project's git history"
            if any_depth and len(pattern) == 2 and any(matches(last, name) for name in GIT_INTERNALS):
                return f"{shown} may match a part of the project's git history"
        elif self.project and inside(self.project, base):
            top = self.project[len(base) :].strip("/").split("/")
            if all(matches(pattern[i], top[i]) for i in range(min(len(pattern), len(top)))):
                return f"{shown} may match a directory that the project lies in"
        return ""

    def _real(self, path: str, *, follows: bool) -> str:
        for _ in range(8 if self.links else 0):  # links of links, within reason
            for link, goal in self.links.items():
                if inside(path, link) or (follows and path == link):
                    path = normal(goal + path[len(link) :])
                    break
            else:
                break
        if follows:
            return os.path.realpath(path)
        head, _, tail = path.rpartition("/")
        real = self._parents.get(head)
        if real is None:
            real = self._parents[head] = os.path.realpath(head or "/")
        return f"{real}/{tail}" if real != "/" else f"/{tail}"


def _says_something(part: str) -> bool:
    """Say whether a component of a pattern has literal letters of its own."""
    in_class = False
    for c in part:
        if c == CLASS:
            in_class = True
        elif in_class:
            in_class = c != "]"
        elif c not in GLOBS and c.isalnum():
            return True
    return False
