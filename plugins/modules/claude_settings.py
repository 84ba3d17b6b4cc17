#!/usr/bin/python3
"""Ansible module: merges hooks into settings of Claude Code that are somebody else's, or takes them out.

Its two halves, the text of settings and the files of their owners, are in one file: a second one would be
found through ansible.cfg alone, by neither tests nor type checker.
"""

from __future__ import annotations

import json
import os
import pwd
import stat
import tempfile
from json.decoder import scanstring  # type: ignore[attr-defined] # as old as the module, and no part of its stub
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DOCUMENTATION = r"""
module: claude_settings
short_description: Merges hooks into settings of Claude Code that belong to somebody else
description:
  - Only entries that run a script below O(directories) are ours; they are put behind what is there.
    Everything else stays as it is, byte for byte, and our entries leave no trace when they are taken out.
  - The work is done as the user who owns the settings, so nothing that user could not do can happen. A
    symbolic link is followed as that user; the file it leads to is replaced atomically and keeps its mode.
  - Refuses, without changing anything, a file that Claude Code could not read either.
  - Keeps what was there before the first change beside it until O(state=absent), with the ending
    C(.before-claude-code-observability).
  - Shows only our own entries in a diff, because settings may hold secrets.
options:
  user:
    description: Whose C(~/.claude/settings.json); with O(checkout) not needed.
    type: str
  checkout:
    description: A project's directory; its C(.claude/settings.json) is merged into, as the directory's owner.
    type: path
  hooks:
    description: The hooks, groups of them by event, as in settings. Needed where O(state=present).
    type: dict
    default: {}
  directories:
    description: Where our scripts are, now or before.
    type: list
    elements: path
    required: true
  state:
    description: Whether the hooks are there.
    choices: [present, absent]
    default: present
"""

BACKUP = ".before-claude-code-observability"
LARGEST = 4 << 20  # bytes; nobody writes such settings
ATTEMPTS = 5
_BLANK = " \t\r\n"
_decoder = json.JSONDecoder()

Hooks = dict[str, list[dict[str, Any]]]


class Refused(Exception):  # noqa: N818 - of the file, not of this program
    """The settings cannot be merged into; the text says why, in one sentence."""


class Part(NamedTuple):
    """A member of an object or an element of an array: where it begins and ends in the text.

    value: where a member's value begins; an element's is `start`. key: a member's, else empty.
    """

    key: str
    start: int
    value: int
    end: int


# ---------------------------------------------------------------------------------------- where things are


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


def parts(text: str, at: int) -> tuple[list[Part], int]:
    """Return the parts of the object or array at `at` of valid JSON, and where its bracket closes."""
    is_object = text[at] == "{"
    found = []
    at = _skip(text, at + 1)
    while text[at] not in "]}":
        start, key = at, ""
        if is_object:
            key, at = scanstring(text, at + 1)
            at = _skip(text, _skip(text, at) + 1)
        _, end = _decoder.raw_decode(text, at)
        found.append(Part(key, start, at, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found, at


def _member(text: str, at: int, key: str) -> Part | None:
    """Return the member `key` of the object at `at`. Raises `Refused` where it is there twice."""
    found = [part for part in parts(text, at)[0] if part.key == key]
    if len(found) > 1:
        message = f'"{key}" stands there twice'
        raise Refused(message)
    return found[0] if found else None


def check(text: str) -> dict[str, Any]:
    """Return the settings in `text`. Raises `Refused` for what Claude Code could not read."""

    def constant(name: str) -> object:
        message = f"{name} is no JSON"
        raise Refused(message)

    try:
        settings = json.loads(text, parse_constant=constant)
    except json.JSONDecodeError as error:
        message = f"line {error.lineno}, column {error.colno}: it is no JSON ({error.msg})"
        raise Refused(message) from error
    except RecursionError as error:
        message = "it is nested too deeply"
        raise Refused(message) from error
    if not isinstance(settings, dict):
        message = "it holds no JSON object"
        raise Refused(message)
    hooks = settings.get("hooks", {})
    if not isinstance(hooks, dict) or not all(isinstance(groups, list) for groups in hooks.values()):
        message = '"hooks" is not what Claude Code expects: an object of lists'
        raise Refused(message)
    return settings


# -------------------------------------------------------------------------------------------- what is ours


def _is_ours(hook: object, directories: Sequence[str]) -> bool:
    command = hook.get("command") if isinstance(hook, dict) else None
    return isinstance(command, str) and any(f"{directory}/" in command for directory in directories)


def _own_hooks(group: object, directories: Sequence[str]) -> list[int]:
    """Return which hooks of a group are ours."""
    hooks = group.get("hooks") if isinstance(group, dict) else None
    if not isinstance(hooks, list):
        return []
    return [number for number, hook in enumerate(hooks) if _is_ours(hook, directories)]


def ours(settings: Mapping[str, Any], directories: Sequence[str]) -> Hooks:
    """Return our own entries of `settings`: per event the groups with nothing but our hooks in them."""
    found: Hooks = {}
    for event, groups in settings.get("hooks", {}).items():
        for group in groups:
            own = _own_hooks(group, directories)
            if own:
                found.setdefault(event, []).append({**group, "hooks": [group["hooks"][n] for n in own]})
    return found


# ---------------------------------------------------------------------------------------------- taking out


def _cut(text: str, container: int, number: int) -> str:
    """Return `text` without one part of the container at `container`, and without what joined it."""
    found, close = parts(text, container)
    part = found[number]
    if len(found) == 1:
        return text[: container + 1] + text[close:]
    if number:
        return text[: found[number - 1].end] + text[part.end :]
    return text[: part.start] + text[found[1].start :]


def _emptied(text: str, container: int, original: str, *keys: str) -> str:
    """Return `text` with nothing in the container at `container` but the blank that it held before us.

    keys: which container of `original` it was.
    """
    at = _skip(original, 0)
    for key in keys:
        place = _member(original, at, key)
        assert place is not None  # noqa: S101 - the caller saw it there
        at = place.value
    found, end = parts(original, at)
    blank = "" if found else original[at + 1 : end]
    return text[: container + 1] + blank + text[parts(text, container)[1] :]


def _one_less(text: str, directories: Sequence[str], original: str) -> str | None:
    """Return `text` with one entry of ours less, or None where there is none.

    original: the settings before us; what is empty now but stood there already stays.
    """
    theirs = check(original)
    root = _skip(text, 0)
    hooks = _member(text, root, "hooks")
    if hooks is None:
        return None
    events, _ = parts(text, hooks.value)
    for event_number, event in enumerate(events):
        groups, _ = parts(text, event.value)
        for group_number, group in enumerate(groups):
            value = json.loads(text[group.value : group.end])
            own = _own_hooks(value, directories)
            if not own:
                continue
            if len(own) < len(value["hooks"]):
                inner = _member(text, group.value, "hooks")
                assert inner is not None  # noqa: S101 - `own` came from it
                return _cut(text, inner.value, own[0])
            if len(groups) > 1:
                return _cut(text, event.value, group_number)
            if event.key in theirs.get("hooks", {}):
                return _emptied(text, event.value, original, "hooks", event.key)
            if len(events) > 1:
                return _cut(text, hooks.value, event_number)
            if "hooks" in theirs:
                return _emptied(text, hooks.value, original, "hooks")
            members, _ = parts(text, root)
            return _cut(text, root, members.index(hooks))
    return None


def without(text: str, directories: Sequence[str], original: str | None = None) -> str:
    """Return settings without our entries and without what only they had brought. Raises `Refused`.

    original: the text before our first change, where there was one.
    """
    check(text)
    while True:
        less = _one_less(text, directories, "{}" if original is None else original)
        if less is None:
            return text
        text = less


# ---------------------------------------------------------------------------------------------- putting in


class _Style(NamedTuple):
    """How a container's parts are laid out: the blank before each, or none on one line; one step of depth."""

    newline: str
    before: str
    step: str

    def render(self, value: object) -> str:
        """Return `value` as JSON that stands at this depth."""
        if not self.before:
            return json.dumps(value, ensure_ascii=False)
        lines = json.dumps(value, ensure_ascii=False, indent=self.step).split("\n")
        return f"{self.newline}{self.before}".join(lines)


def _depth(text: str, part: Part) -> str | None:
    """Return the blank before `part` on its line, or None where something else is before it."""
    line = text.rfind("\n", 0, part.start) + 1
    blank = text[line : part.start]
    return blank if line and not blank.strip(_BLANK) else None


def _style(text: str) -> tuple[str, str]:
    """Return a document's newline and one step of its depth; empty where it is all on one line."""
    newline = "\r\n" if "\r\n" in text else "\n"
    members, _ = parts(text, _skip(text, 0))
    if not members:
        return newline, "  "
    return newline, _depth(text, members[0]) or ""


def _added(text: str, container: int, added: str, value: object, *, outer: str) -> str:
    """Return `text` with a part more at the end of the container.

    added: the member's key, or empty in an array. outer: the depth at which the container itself stands.
    """
    newline, step = _style(text)
    found, close = parts(text, container)
    before = _depth(text, found[0]) if found else (outer + step if step else None)
    style = _Style(newline, before or "", step)
    new = (f"{json.dumps(added)}: " if added else "") + style.render(value)
    if found:
        joint = f",{newline}{before}" if before else ", "
        return text[: found[-1].end] + joint + new + text[found[-1].end :]
    if before:
        return text[: container + 1] + f"{newline}{before}{new}{newline}{outer}" + text[close:]
    return text[: container + 1] + new + text[close:]


def merged(text: str, hooks: Hooks, directories: Sequence[str], original: str | None = None) -> str:
    """Return settings with `hooks` as the only entries of ours, behind what is there. Raises `Refused`.

    Where they are already, the text is returned as it is. original: as in `without`.
    """
    if ours(check(text), directories) == hooks:
        return text
    text = without(text, directories, original)
    root = _skip(text, 0)
    for event, groups in hooks.items():
        section = _member(text, root, "hooks")
        if section is None:
            text = _added(text, root, "hooks", {event: groups}, outer="")
            continue
        place = _member(text, section.value, event)
        outer = _depth(text, section) or ""
        if place is None:
            text = _added(text, section.value, event, groups, outer=outer)
            continue
        for group in groups:
            place = _member(text, section.value, event)
            assert place is not None  # noqa: S101 - it was there before anything was added behind it
            text = _added(text, place.value, "", group, outer=_depth(text, place) or outer)
    return text


def restored(text: str, original: str | None, directories: Sequence[str]) -> str | None:
    """Return settings as they were before us, with whatever else was changed since; None where they were not.

    original: the text before our first change, None where there was no file.
    """
    settings = check(text)
    if original is not None and merged(original, ours(settings, directories), directories) == text:
        return original  # nobody else touched it: also where an empty list of theirs had been filled
    left = without(text, directories, original)
    return None if original is None and check(left) == {} else left


# ----------------------------------------------------------------------------------------- the file itself


def _read(path: Path) -> tuple[str | None, os.stat_result | None]:
    """Return the text of a regular file and its status, or nothing where there is none. Raises `Refused`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, None
    except OSError as error:
        message = f"it cannot be read ({error.strerror})"
        raise Refused(message) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            message = "it is no file"
            raise Refused(message)
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        message = f"it is larger than {LARGEST >> 20} MiB"
        raise Refused(message)
    try:
        return data.decode("utf-8"), status
    except UnicodeDecodeError as error:
        message = f"line {data.count(10, 0, error.start) + 1}: it is no UTF-8"
        raise Refused(message) from error


def _settings(path: Path) -> dict[str, Any]:
    """Return the settings of a file that is only looked at, or nothing where they cannot be read."""
    try:
        return check(_read(path)[0] or "{}")
    except Refused:
        return {}


def _write(path: Path, text: str, *, like: os.stat_result | None) -> None:
    """Replace the file at once by one with `text` and the mode and group of `like`."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8"))
            if like is not None:
                if like.st_gid != os.fstat(descriptor).st_gid:
                    os.fchown(descriptor, -1, like.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


class Outcome(NamedTuple):
    """What was, or in check mode would be done: our entries before and after."""

    changed: bool
    before: Hooks
    after: Hooks


def settle(path: Path, hooks: Hooks | None, directories: Sequence[str], *, dry: bool) -> Outcome:
    """Bring the settings at `path` to `hooks`, or for None to what they were before us. Raises `Refused`.

    dry: only look. Somebody else's write meanwhile is not overwritten: the work is begun again.
    """
    local = path.with_name("settings.local.json")
    path = path.resolve()
    backup = path.with_name(path.name + BACKUP)
    for _ in range(ATTEMPTS):
        text, status = _read(path)
        original, _ = _read(backup)
        settings = {} if text is None else check(text)
        before = ours(settings, directories)
        for file in (path, local) if hooks is not None else ():
            if (settings if file is path else _settings(file)).get("disableAllHooks"):
                message = f"{file.name} says disableAllHooks, so hooks would not run"
                raise Refused(message)
        if hooks is None:
            after = None if text is None else restored(text, original, directories)
        else:
            after = merged("{}\n" if text is None else text, hooks, directories, original)
        surplus = hooks is None and original is not None
        outcome = Outcome(after != text or surplus, before, hooks or {})
        if dry or not outcome.changed:
            return outcome
        if hooks is not None and text is not None and not before and original is None:
            _write(backup, text, like=status)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _read(path)[0] != text:
            continue
        if after is None:
            path.unlink(missing_ok=True)
        elif after != text:
            _write(path, after, like=status)
        if hooks is None:
            backup.unlink(missing_ok=True)
            if after is None and not any(path.parent.iterdir()):
                path.parent.rmdir()
        return outcome
    message = "somebody writes it again and again"
    raise Refused(message)


def owner_of(checkout: Path) -> pwd.struct_passwd:
    """Return the account that a checkout's settings are written as: its owner. Raises `Refused`.

    Root's own are written only where no other user could have put something else in the way.
    """
    status = checkout.lstat() if os.path.lexists(checkout) else None
    if status is None or not stat.S_ISDIR(status.st_mode):
        message = "it is no directory"
        raise Refused(message)
    if status.st_uid == 0:
        for place in (checkout, *checkout.parents):
            found = place.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
                message = f"it belongs to root, but others can change {place}"
                raise Refused(message)
    try:
        return pwd.getpwuid(status.st_uid)
    except KeyError as error:
        message = f"its owner, uid {status.st_uid}, is no user of this host"
        raise Refused(message) from error


def as_user(account: pwd.struct_passwd, work: Callable[[], Outcome]) -> Outcome:
    """Return what `work` returns, done in a child process that has the rights of `account` and no others.

    Raises `Refused`, also for an error of the system.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        answer: dict[str, object] = {"refused": "its work was cut off"}
        try:
            if os.geteuid() == 0:
                os.initgroups(account.pw_name, account.pw_gid)
                os.setgid(account.pw_gid)
                os.setuid(account.pw_uid)
            os.umask(0o077)
            answer = {"outcome": work()}
        except Refused as refused:
            answer = {"refused": str(refused)}
        except Exception as error:
            answer = {"refused": f"it cannot be changed ({error})"}
        finally:
            with os.fdopen(writer, "w", encoding="utf-8") as file:
                json.dump(answer, file)
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as file:
        said = file.read()
    os.waitpid(child, 0)
    result: dict[str, Any] = json.loads(said or '{"refused": "its work was cut off"}')
    if "refused" in result:
        raise Refused(str(result["refused"]))
    return Outcome(*result["outcome"])


def _lines(hooks: Hooks) -> str:
    return json.dumps(hooks, indent=2) + "\n" if hooks else ""


def _place(module: AnsibleModule) -> tuple[pwd.struct_passwd, Path] | None:
    """Return the account to work as and the settings' path; None where there is nothing to take out of."""
    gone = module.params["state"] == "absent"
    if module.params["checkout"]:
        checkout = Path(module.params["checkout"])
        if gone and not os.path.lexists(checkout):
            return None
        try:
            return owner_of(checkout), checkout / ".claude/settings.json"
        except Refused as refused:
            module.fail_json(msg=f"{checkout}: {refused}. Nothing was changed there.")
    try:
        account = pwd.getpwnam(module.params["user"])
    except KeyError:
        if gone:
            return None
        module.fail_json(msg=f"This host has no user {module.params['user']}, whose settings were named.")
    return account, Path(account.pw_dir) / ".claude/settings.json"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "str"},
            "checkout": {"type": "path"},
            "hooks": {"type": "dict", "default": {}},
            "directories": {"type": "list", "elements": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_one_of=[("user", "checkout")],
        mutually_exclusive=[("user", "checkout")],
        supports_check_mode=True,
    )
    hooks = module.params["hooks"] if module.params["state"] == "present" else None
    directories = module.params["directories"]
    place = _place(module)
    if place is None:
        module.exit_json(changed=False, path="")
        return  # what exit_json does, which has no types
    account, path = place
    if os.geteuid() not in (0, account.pw_uid):
        module.fail_json(msg=f"{path} is {account.pw_name}'s, and only root can work as somebody else.")
    try:
        outcome = as_user(account, lambda: settle(path, hooks, directories, dry=module.check_mode))
    except Refused as refused:
        module.fail_json(msg=f"{path}: {refused}. Nothing was changed there.")
    diff = {"before": _lines(outcome.before), "after": _lines(outcome.after)}
    header = f"{path}, our entries"
    module.exit_json(
        changed=outcome.changed,
        path=str(path),
        diff={**diff, "before_header": header, "after_header": header},
    )


if __name__ == "__main__":
    main()
