"""Commands that change what the shell knows: its directory, variables, files and names."""

from __future__ import annotations

from utils.guard.envfiles import names_protected
from utils.guard.filters import FILTERS
from utils.guard.marks import UNKNOWN, UNKNOWN_ENV, is_known, is_literal, plain
from utils.guard.paths import normal
from utils.guard.verdict import ENV_FILE, RM_RF, Refused
from utils.guard.words import unique

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from collections.abc import Callable

    from utils.guard.evaluator import Evaluator

    Handler = Callable[[Evaluator, list[str], str], str]

MOST_LINES = 24  # lines of input that `read` follows


def _nothing(_ev: Evaluator, _argv: list[str], _stdin: str) -> str:
    return ""


def _exit(ev: Evaluator, _argv: list[str], _stdin: str) -> str:
    ev.state.ended = True
    return ""


def _cd(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    operands = [word for word in argv[1:] if word == "-" or word[:1] not in ("-", "+")]
    old = list(ev.state.cwd)
    if not operands:
        goals = ev.variable("HOME") if not argv[0].startswith("pushd") else ev.variable("OLDPWD")
    elif operands[0] == "-":
        goals = ev.variable("OLDPWD")
    else:
        goals = operands[:1]
    found = []
    for goal in goals:
        for cwd in old:
            if not is_literal(goal) or (not goal.startswith("/") and not is_known(cwd)):
                found.append(UNKNOWN)
            else:
                path = normal(goal if goal.startswith("/") else f"{cwd}/{goal}")
                found.append(path)
    ev.state.variables["OLDPWD"] = [*old]
    ev.state.cwd = unique(found)
    if not all(ev.exists(path) for path in found):
        ev.state.old_cwd = old
    return ""


def _popd(ev: Evaluator, argv: list[str], stdin: str) -> str:
    return _cd(ev, [argv[0], "-"], stdin)


def _set(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    words = argv[1:]
    while words and words[0][:1] in ("-", "+") and words[0] not in ("--", "-"):
        if words[0][0] == "-" and "e" in words[0]:
            ev.exits_on_error = True
        words = words[2:] if words[0][-1:] == "o" else words[1:]
    if words and words[0] in ("--", "-"):
        ev.state.parameters = words[1:]
    elif words:
        ev.state.parameters = words
    return ""


def _shift(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    if ev.state.parameters is not None:
        count = int(argv[1]) if len(argv) > 1 and argv[1].isdigit() else 1
        ev.state.parameters = ev.state.parameters[count:]
    return ""


def _unset(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    for name in argv[1:]:
        if "-f" in argv:
            ev.functions.pop(name, None)
        elif name not in ev.constants:
            ev.state.variables[name] = [None]
    return ""


def _read(ev: Evaluator, argv: list[str], stdin: str) -> str:
    names = []
    at = 1
    array = False
    while at < len(argv):
        word = argv[at]
        if word[:1] == "-" and len(word) > 1:
            array = array or "a" in word
            if word[-1] in "adinNptu":
                at += 1
                if word[-1] == "u" and at < len(argv):
                    stdin = ev.descriptors.get(argv[at], UNKNOWN)
                elif word[-1] == "a" and at < len(argv):
                    names.append(argv[at])
            elif "u" in word:
                stdin = ev.descriptors.get(word.partition("u")[2], UNKNOWN)
        else:
            names.append(word)
        at += 1
    lines = [line for line in stdin.replace("\0", "\n").split("\n") if line]
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], ev.unknown(*lines[MOST_LINES : MOST_LINES * 40])]
    separators = ev.separators()
    if array:
        for name in names:
            ev.state.variables[name] = [_split(line, separators) for line in lines[:1] or [""]]
        return ""
    names = names or ["REPLY"]
    for index, name in enumerate(names):
        values = []
        for line in lines or [""]:
            if len(names) == 1:
                values.append(line.strip(" \t") if separators else line)
                continue
            words = _split(line, separators)
            values.append(
                " ".join(words[index:]) if index == len(names) - 1 else (words[index : index + 1] or [""])[0]
            )
        ev.state.variables[name] = [*dict.fromkeys(values)]
    return ""


def _split(line: str, separators: str) -> list[str]:
    for separator in separators:
        line = line.replace(separator, " ")
    return line.split()


def _mapfile(ev: Evaluator, argv: list[str], stdin: str) -> str:
    name = "MAPFILE"
    at = 1
    while at < len(argv):
        word = argv[at]
        if word[:1] == "-" and len(word) > 1:
            if "u" in word:
                descriptor = word.partition("u")[2]
                if not descriptor:
                    at += 1
                    descriptor = argv[at] if at < len(argv) else ""
                stdin = ev.descriptors.get(descriptor, UNKNOWN)
            elif word[-1] in "dnOsCc":
                at += 1
        else:
            name = word
        at += 1
    ev.state.variables[name] = [[line for line in stdin.replace("\0", "\n").split("\n") if line][:500]]
    return ""


def _eval(ev: Evaluator, argv: list[str], stdin: str) -> str:
    words = argv[1:]
    if words and words[0] == "--":
        words = words[1:]
    return ev.script(" ".join(words), stdin=stdin, what="eval")


def _source(ev: Evaluator, argv: list[str], stdin: str) -> str:
    from utils.guard.marks import UNKNOWN_RM

    words = [word for word in argv[1:] if word != "--"]
    if not words:
        return ""
    path = words[0]
    if names_protected(path, ev.policy) or UNKNOWN_ENV in path:
        raise Refused(ENV_FILE, f"{argv[0]} would read {plain(path)}")
    content = ev.content(path, stdin) if is_literal(path) else UNKNOWN
    if UNKNOWN_RM in path:
        raise Refused(RM_RF, "a script's name is made from text that deletes recursively")
    if content == UNKNOWN:
        return UNKNOWN
    outer = ev.state.parameters
    if len(words) > 1:
        ev.state.parameters = words[1:]
    try:
        return ev.script(content, stdin=stdin, what=f"source {path}")
    finally:
        ev.state.parameters = outer


def _alias(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    for word in argv[1:]:
        name, equals, value = word.partition("=")
        if equals and name.partition(" ")[0]:
            ev.aliases[name.split()[-1]] = value
    return ""


def _unalias(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    for name in argv[1:]:
        ev.aliases.pop(name, None)
    return ""


def _hash(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    from utils.guard.argv import base_name

    if len(argv) > 3 and argv[1] == "-p":
        for name in argv[3:]:
            ev.commands[name] = base_name(argv[2])
    return ""


def _trap(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    words = [word for word in argv[1:] if word not in ("--", "-p", "-l")]
    if len(words) > 1 and words[0] not in ("", "-"):
        ev.traps.append(words[0])
    return ""


def _declare(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    for word in argv[1:]:
        name, equals, value = word.partition("=")
        if equals:
            ev.assign(name, [value])
    return ""


def _copy(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    """Follow cp, mv, ln and install: programs under other names, files and links that the command makes."""
    from utils.guard.access import opens
    from utils.guard.argv import base_name

    base = argv[0].rpartition("/")[2]
    opens(ev, base, argv)
    operands = [word for word in argv[1:] if word[:1] != "-"]
    if len(operands) < 2 or not all(is_literal(word) for word in operands):
        return ""
    target = operands[-1]
    for source in operands[:-1]:
        where = ev.absolute(target)
        if ev.exists(where) or target.endswith("/"):
            where = normal(f"{where}/{source.rstrip('/').rpartition('/')[2]}")
        if base == "ln" and ("s" in "".join(w for w in argv[1:] if w[:1] == "-")):
            ev.links[where] = source if source.startswith("/") else normal(f"{where}/../{source}")
        content = ev.files.get(ev.absolute(source))
        if content is not None:
            ev.files[where] = content
            if base == "mv":
                ev.files.pop(ev.absolute(source), None)
        elif source.rpartition("/")[0].endswith("bin") or source in ("rm", "busybox"):
            ev.commands[where] = base_name(source)
    return ""


def _which(_ev: Evaluator, argv: list[str], _stdin: str) -> str:
    return "".join(f"{word}\n" for word in argv[1:] if word[:1] != "-")


def _shopt(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    if "dotglob" in argv and any(word[:1] == "-" and "s" in word for word in argv[1:]):
        ev.dotglob = True
    return ""


def _mktemp(_ev: Evaluator, argv: list[str], _stdin: str) -> str:
    directory = "/tmp"  # noqa: S108 - what mktemp would name
    template = "tmp.XXXXXXXXXX"
    at = 1
    while at < len(argv):
        word = argv[at]
        if word in ("-p", "--suffix") and at + 1 < len(argv):
            at += 1
            directory = argv[at] if word == "-p" else directory
        elif word.startswith("--tmpdir="):
            directory = word[9:]
        elif word[:1] != "-":
            template = word
            if "-t" not in argv and "-p" not in argv and not any(w.startswith("--tmpdir") for w in argv):
                directory = ""
        at += 1
    path = template if not directory or template.startswith("/") else f"{directory}/{template}"
    return path + "\n"


def _pwd(ev: Evaluator, _argv: list[str], _stdin: str) -> str:
    return ev.state.cwd[0] + "\n"


def _dirname(_ev: Evaluator, argv: list[str], _stdin: str) -> str:
    out = []
    for word in argv[1:]:
        if word[:1] != "-":
            head = word.rstrip("/").rpartition("/")[0]
            out.append((head or ("/" if word.startswith("/") else ".")) + "\n")
    return "".join(out)


def _basename(_ev: Evaluator, argv: list[str], _stdin: str) -> str:
    words = [word for word in argv[1:] if word[:1] != "-"]
    if not words:
        return ""
    name = words[0].rstrip("/").rpartition("/")[2]
    return (name.removesuffix(words[1]) if len(words) > 1 else name) + "\n"


def _realpath(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    words = [word for word in argv[1:] if word[:1] != "-"]
    return "".join((ev.absolute(word) if is_known(word) else word) + "\n" for word in words)


def _mkdir(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    for word in argv[1:]:
        if word[:1] != "-" and is_literal(word):
            ev.files.setdefault(ev.absolute(word), "\x00directory")
    return ""


def _yes(_ev: Evaluator, argv: list[str], _stdin: str) -> str:
    return (" ".join(argv[1:]) or "y") + "\n"


def _git_output(ev: Evaluator, argv: list[str], stdin: str) -> str:
    from utils.guard.carriers import git

    return git(ev, argv, stdin)


BUILTINS: dict[str, Handler] = {
    **FILTERS,
    ":": _nothing,
    "true": _nothing,
    "false": _nothing,
    "[": _nothing,
    "test": _nothing,
    "type": _which,
    "shopt": _shopt,
    "man": _nothing,
    "info": _nothing,
    "apropos": _nothing,
    "whereis": _nothing,
    "which": _which,
    "exit": _exit,
    "return": _exit,
    "break": _exit,
    "continue": _exit,
    "cd": _cd,
    "chdir": _cd,
    "pushd": _cd,
    "popd": _popd,
    "set": _set,
    "shift": _shift,
    "unset": _unset,
    "read": _read,
    "mapfile": _mapfile,
    "readarray": _mapfile,
    "eval": _eval,
    "source": _source,
    ".": _source,
    "alias": _alias,
    "unalias": _unalias,
    "hash": _hash,
    "trap": _trap,
    "export": _declare,
    "declare": _declare,
    "typeset": _declare,
    "local": _declare,
    "readonly": _declare,
    "cp": _copy,
    "mv": _copy,
    "ln": _copy,
    "install": _copy,
    "mktemp": _mktemp,
    "pwd": _pwd,
    "dirname": _dirname,
    "basename": _basename,
    "realpath": _realpath,
    "readlink": _realpath,
    "mkdir": _mkdir,
    "yes": _yes,
    "git": _git_output,
}
