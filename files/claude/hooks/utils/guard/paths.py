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


def roots(policy: Policy) -> list[str]:
    """Return the directories strictly inside which deletion is free: project, temporary, extra."""
    found = [normal(root) for root in policy.roots]
    found += TEMPORARY
    if policy.tmpdir.startswith("/"):
        tmpdir = normal(policy.tmpdir)
        if tmpdir.count("/") > 2 or tmpdir in TEMPORARY:
            found.append(tmpdir)
    project = project_of(policy)
    if project:
        found.append(project)
    return found


def project_of(policy: Policy) -> str:
    """Return the project's directory, or nothing if it is one in which nothing is safe to delete."""
    if not policy.project.startswith("/"):
        return ""
    project = normal(policy.project)
    home = normal(policy.home) if policy.home.startswith("/") else "/root"
    if project.count("/") < 2 or project == home or inside(home, project):
        return ""
    return project


def objection(
    target: str, cwd: str, policy: Policy, links: dict[str, str], *, any_depth: bool = False
) -> str:
    """Return why `target` must not be deleted recursively with `cwd` as working directory, or nothing.

    target: a word in marks. links: symbolic links that the command itself makes, path to path.
    any_depth: what the pattern names may lie at any depth, as ``find -name`` finds it.
    """
    shown = plain(target)
    if not is_known(target):
        return f"the target {shown} cannot be known"
    if target == "":
        return ""
    if target[0] == "~":
        return f"{shown} reads as a home directory"
    if not target.startswith("/"):
        if not is_known(cwd) or not cwd.startswith("/"):
            return f"the directory in which {shown} lies cannot be known"
        target = f"{cwd}/{target}"
    path = normal(target)
    for mark in GLOBS:
        if mark in path:
            return _glob_objection(path, shown, policy, links, any_depth=any_depth)
    follows = target.endswith(("/", "/."))
    return _plain_objection(path, shown, policy, links, follows=follows)


def _plain_objection(path: str, shown: str, policy: Policy, links: dict[str, str], *, follows: bool) -> str:
    project = normal(policy.project) if policy.project.startswith("/") else ""
    home = normal(policy.home) if policy.home.startswith("/") else ""
    if project and path == project:
        return f"{shown} is the project directory itself"
    if path == "/" or (project and inside(project, path)):
        return f"{shown} is the root or a parent of the project"
    if home and (path == home or inside(home, path)):
        return f"{shown} is the home directory or a parent of it"
    git = project + "/.git"
    if project and (path.lower() == git.lower() or inside(path, git)):
        return f"{shown} is the project's git history"
    allowed = roots(policy)
    if not any(inside(path, root) for root in allowed):
        return f"{shown} is outside the project and the temporary directories"
    real = _real(path, links, follows=follows)
    if real != path:
        real_roots = [*allowed, *(os.path.realpath(root) for root in allowed)]
        if not any(inside(real, root) for root in real_roots):
            return f"{shown} leads through a symbolic link to {real}"
        if project and (real == os.path.realpath(project) or inside(os.path.realpath(project), real)):
            return f"{shown} leads through a symbolic link to the project itself"
    return ""


def _glob_objection(path: str, shown: str, policy: Policy, links: dict[str, str], *, any_depth: bool) -> str:
    """Judge a pattern by the directory it starts in and by how much of it is literal."""
    parts = path[1:].split("/")
    first = next(i for i, part in enumerate(parts) if any(mark in part for mark in GLOBS))
    base = "/" + "/".join(parts[:first])
    project = project_of(policy)
    pattern = parts[first:]
    free = roots(policy)
    if any(inside(base, root) for root in free):
        return _plain_objection(base, shown, policy, links, follows=True)
    if base not in free:
        return f"{shown} is outside the project and the temporary directories"
    if not any(_says_something(part) for part in pattern):
        kind = "the whole project" if base == project else "a whole temporary directory"
        return f"{shown} is {kind}"
    last = pattern[-1]
    if base == project and (len(pattern) == 1 or any_depth) and matches(last.lower(), ".git"):
        return f"{shown} may match the project's git history"
    if base == project and any_depth and len(pattern) == 2 and any(matches(last, n) for n in GIT_INTERNALS):
        return f"{shown} may match a part of the project's git history"
    if base != project and policy.project and inside(normal(policy.project), base):
        top = normal(policy.project)[len(base) :].strip("/").split("/")
        if all(matches(p, t) for p, t in zip(pattern, top, strict=False)):
            return f"{shown} may match a directory that the project lies in"
    return ""


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


def _real(path: str, links: dict[str, str], *, follows: bool) -> str:
    for _ in range(8):  # links of links, within reason
        for link, goal in links.items():
            if inside(path, link) or (follows and path == link):
                path = normal(goal + path[len(link) :])
                break
        else:
            break
    if follows:
        return os.path.realpath(path)
    head, _, tail = path.rpartition("/")
    return normal(f"{os.path.realpath(head or '/')}/{tail}")


def is_deep(target: str) -> bool:
    """Say whether `target` stands for everything below a directory."""
    return DEEP in target
