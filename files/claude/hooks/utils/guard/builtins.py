"""Commands that change what the shell knows, and filters whose output can be told."""

from __future__ import annotations

from utils.guard.envfiles import names_protected
from utils.guard.marks import DEEP, UNKNOWN, UNKNOWN_ENV, is_known, is_literal, plain
from utils.guard.paths import normal
from utils.guard.state import State
from utils.guard.verdict import ENV_FILE, RM_RF, Refused
from utils.guard.words import unescape, unique

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from collections.abc import Callable

    from utils.guard.evaluator import Evaluator

    Handler = Callable[[Evaluator, list[str], str], str]

MOST_LINES = 24  # lines of input that `read` follows


def _echo(_ev: Evaluator, argv: list[str], _stdin: str) -> str:
    words = argv[1:]
    escapes, newline = False, "\n"
    while words and len(words[0]) > 1 and words[0][0] == "-" and set(words[0][1:]) <= set("neE"):
        escapes = "e" in words[0] or (escapes and "E" not in words[0])
        newline = "" if "n" in words[0] else newline
        words = words[1:]
    line = " ".join(words)
    return (unescape(line, zero=True) if escapes else line) + newline


def _printf(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    words = argv[1:]
    variable = ""
    if len(words) > 1 and words[0] == "-v":
        variable, words = words[1], words[2:]
    elif words and words[0].startswith("-v") and len(words[0]) > 2:
        variable, words = words[0][2:], words[1:]
    if words and words[0] == "--":
        words = words[1:]
    output = formatted(words[0], words[1:]) if words else ""
    if variable:
        ev.assign(variable, [output])
        return ""
    return output


def formatted(form: str, arguments: list[str]) -> str:
    """Return what printf prints; directives that are not followed become unknown."""
    if not is_known(form):
        return form + " ".join(arguments)
    rest = list(arguments)
    out: list[str] = []
    while True:
        before = len(rest)
        out.append(_once(form, rest))
        if not rest or len(rest) == before or len(out) > 2000:
            return "".join(out)


def _once(form: str, rest: list[str]) -> str:
    out: list[str] = []
    at = 0
    start = 0
    while at < len(form):
        if form[at] != "%":
            at += 1
            continue
        out.append(unescape(form[start:at]))
        end = at + 1
        while end < len(form) and form[end] in "-+ #0123456789.*'lhjzt":
            end += 1
        kind = form[end : end + 1]
        if kind == "(":
            close = form.find(")T", end)
            end, kind = (close + 1, "T") if close > 0 else (end, kind)
        start = at = end + 1
        if kind == "%":
            out.append("%")
            continue
        argument = rest.pop(0) if rest else ""
        flags = form[:end][form[:end].rfind("%") + 1 :]
        out.append(_directive(kind, argument, flags))
    out.append(unescape(form[start:]))
    return "".join(out)


def _directive(kind: str, argument: str, flags: str) -> str:
    if kind == "s" or kind == "q":
        _, dot, precision = flags.partition(".")
        return argument[: int(precision)] if dot and precision.isdigit() else argument
    if kind == "b":
        return unescape(argument, zero=True)
    if kind == "c":
        return argument[:1]
    if kind == "T":
        return UNKNOWN
    if not is_known(argument):
        return UNKNOWN
    try:
        value = ord(argument[1]) if argument[:1] in "'\"" and len(argument) > 1 else int(argument or "0", 0)
        return format(value, {"d": "d", "i": "d", "u": "d", "o": "o", "x": "x", "X": "X"}[kind])
    except (ValueError, KeyError):
        return UNKNOWN


def _cat(ev: Evaluator, argv: list[str], stdin: str) -> str:
    from utils.guard.commands import opens

    opens(ev, "cat", argv)
    operands = [word for word in argv[1:] if word == "-" or word[:1] != "-"]
    if not operands:
        return stdin
    return "".join(ev.content(operand, stdin) if is_literal(operand) else UNKNOWN for operand in operands)


def _tee(ev: Evaluator, argv: list[str], stdin: str) -> str:
    for target in argv[1:]:
        if names_protected(target, ev.policy) or UNKNOWN_ENV in target:
            raise Refused(ENV_FILE, f"tee would write {plain(target)}")
        if target in ev.sinks:
            ev.deliver(target, stdin, appends=False)
        elif target[:1] != "-" and is_literal(target):
            ev.write(target, stdin, appends="-a" in argv)
    return stdin


def _rev(ev: Evaluator, argv: list[str], stdin: str) -> str:
    if len(argv) > 1:
        return _other(ev, argv, stdin)
    return "\n".join(line[::-1] for line in stdin.split("\n"))


def _tac(ev: Evaluator, argv: list[str], stdin: str) -> str:
    if len(argv) > 1:
        return _other(ev, argv, stdin)
    lines = stdin.rstrip("\n").split("\n")
    return "\n".join(reversed(lines)) + "\n"


def _tr(ev: Evaluator, argv: list[str], stdin: str) -> str:
    deletes = any(word[:1] == "-" and "d" in word for word in argv[1:])
    sets = [_range(word) for word in argv[1:] if word[:1] != "-" or len(word) == 1]
    if not sets or any("c" in word.lower() for word in argv[1:] if word[:1] == "-"):
        return ev.unknown(stdin)
    if deletes:
        return "".join(c for c in stdin if c not in sets[0])
    if len(sets) < 2 or not sets[1]:
        return stdin
    padded = sets[1] + sets[1][-1] * max(0, len(sets[0]) - len(sets[1]))
    return stdin.translate(
        {ord(a): b for a, b in zip(reversed(sets[0]), reversed(padded[: len(sets[0])]), strict=False)}
    )


def _range(word: str) -> str:
    classes = {
        "lower": "a-z",
        "upper": "A-Z",
        "digit": "0-9",
        "alpha": "A-Za-z",
        "space": " \t\n",
        "alnum": "0-9A-Za-z",
    }
    for name, members in classes.items():
        word = word.replace(f"[:{name}:]", members)
    word = unescape(word)
    out: list[str] = []
    at = 0
    while at < len(word):
        if at + 2 < len(word) and word[at + 1] == "-" and word[at] <= word[at + 2]:
            out += [chr(code) for code in range(ord(word[at]), ord(word[at + 2]) + 1)][:256]
            at += 3
        else:
            out.append(word[at])
            at += 1
    return "".join(out)


def decoded(text: str) -> str:
    """Return what the base64 `text` decodes to, or nothing if it is not base64."""
    from binascii import Error, a2b_base64

    compact = "".join(text.split()).replace("-", "+").replace("_", "/")
    if not compact.isascii() or not compact:
        return ""
    try:
        return a2b_base64(compact + "=" * (-len(compact) % 4)).decode("utf-8", "replace")
    except (Error, ValueError):
        return ""


def _base64(ev: Evaluator, argv: list[str], stdin: str) -> str:
    from utils.guard.commands import opens

    opens(ev, argv[0], argv)
    operands = [
        word for word in argv[1:] if word[:1] != "-" and not word.isdigit() and word not in ("enc", "base64")
    ]
    decodes = any(
        word in ("--decode", "-D") or (word[:1] == "-" and word[1:2] != "-" and "d" in word)
        for word in argv[1:]
    )
    source = stdin
    for operand in operands:
        source = ev.content(operand, stdin)
    if not decodes:
        return UNKNOWN
    return decoded(source) if is_known(source) else UNKNOWN


def _openssl(ev: Evaluator, argv: list[str], stdin: str) -> str:
    if any(word in ("base64", "-base64", "-a", "-A") for word in argv[1:]) and "-in" not in argv:
        return _base64(ev, argv, stdin)
    return _other(ev, argv, stdin)


def _xxd(ev: Evaluator, argv: list[str], stdin: str) -> str:
    flags = "".join(word for word in argv[1:] if word[:1] == "-")
    if "r" in flags and is_known(stdin):
        digits = "".join(
            "".join(line.partition(":")[2].partition("  ")[0].split())
            if "p" not in flags
            else "".join(line.split())
            for line in stdin.split("\n")
        )
        try:
            return bytes.fromhex(digits.removeprefix("0x")).decode("utf-8", "replace")
        except ValueError:
            return UNKNOWN
    return _other(ev, argv, stdin)


def _first_lines(ev: Evaluator, argv: list[str], stdin: str) -> str:
    """Return what a filter that passes a part of its input on may print: all of it."""
    from utils.guard.commands import opens

    base = argv[0].rpartition("/")[2]
    opens(ev, base, argv)
    operands = [word for word in argv[1:] if word[:1] != "-" and not word.isdigit()]
    if operands and base not in ("cut", "fold", "fmt"):
        return ev.content(operands[-1], stdin) if is_literal(operands[-1]) else UNKNOWN
    return ev.unknown(stdin) if base == "cut" else stdin


def _grep(ev: Evaluator, argv: list[str], stdin: str) -> str:
    from utils.guard.commands import opens

    opens(ev, argv[0].rpartition("/")[2].lower(), argv)
    flags = "".join(word for word in argv[1:] if word[:1] == "-" and word[1:2] != "-")
    if "q" in flags or "c" in flags:
        return UNKNOWN
    operands = [word for word in argv[1:] if word[:1] != "-"]
    if len(operands) > 1 or "r" in flags or "R" in flags:
        return UNKNOWN
    pattern = operands[0] if operands else ""
    if (
        "v" not in flags
        and (not is_known(stdin) or DEEP in stdin)
        and names_protected(pattern.strip("^$").replace("\\", ""), ev.policy)
    ):
        return UNKNOWN_ENV
    if "v" in flags or not pattern:
        return stdin
    literal = "".join(c for c in pattern if c not in "^$\\")
    lines = [line for line in stdin.split("\n") if literal in line or not is_known(line)]
    return "\n".join([*lines, ""]) if lines and literal.replace(".", "").isalnum() else stdin


def _sed(ev: Evaluator, argv: list[str], stdin: str) -> str:
    from utils.guard.commands import opens, run_shell

    opens(ev, "sed", argv)
    scripts = []
    pending = True
    for index, word in enumerate(argv[1:], 1):
        if word in ("-e", "--expression") and index + 1 < len(argv):
            scripts.append(argv[index + 1])
            pending = False
        elif word.startswith("--expression="):
            scripts.append(word.partition("=")[2])
            pending = False
        elif pending and word[:1] != "-":
            scripts.append(word)
            pending = False
    for script in scripts:
        for line in script.replace(";", "\n").split("\n"):
            address, found, command = line.partition("e ")
            if found and not address.strip("0123456789$,!/ {"):
                run_shell(ev, command, None, "", "sed e")
            for name in line.replace("w ", " \x00").replace("r ", " \x00").split("\x00")[1:]:
                if names_protected(name, ev.policy):
                    raise Refused(ENV_FILE, f"sed would open {plain(name)}")
        if (
            script[:1] == "s"
            and len(script) > 3
            and script.rstrip()[-1:] == "e"
            and script.count(script[1]) >= 3
        ):
            run_shell(ev, script.split(script[1])[2], None, "", "sed s///e")
    operands = [word for word in argv[1:] if word[:1] != "-" and word not in scripts]
    if operands:
        return UNKNOWN
    output = stdin
    for script in scripts:
        parts = script.split(";")
        simple = all(
            part.strip()[:2] in ("s/", "s|", "s,") and part.count(part.strip()[1]) >= 3 for part in parts
        )
        for part in parts if simple else [script]:
            output = _sed_substitution(ev, part.strip(), output)
    return output


def _sed_substitution(ev: Evaluator, script: str, text: str) -> str:
    """Return the output of a plain ``s/a/b/``; anything else is unknown, or the text itself."""
    if script[:1] == "s" and len(script) > 3:
        parts = script.split(script[1])
        if len(parts) == 4:
            if not any(c in parts[1] for c in "\\[]*.^$+?(") and not any(c in parts[2] for c in "\\&"):
                return text.replace(parts[1], parts[2], -1 if "g" in parts[3] else 1)
            return ev.unknown(text, parts[2])
    return ev.unknown(text) if not text.strip() else text


def _other(ev: Evaluator, argv: list[str], stdin: str) -> str:
    from utils.guard.commands import opens

    opens(ev, argv[0].rpartition("/")[2], argv)
    return ev.unknown(" ".join(argv), stdin)


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
    from utils.guard.commands import base_name

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
    from utils.guard.commands import base_name, opens

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
    "echo": _echo,
    "printf": _printf,
    "cat": _cat,
    "gcat": _cat,
    "tee": _tee,
    "sponge": _tee,
    "rev": _rev,
    "tac": _tac,
    "tr": _tr,
    "base64": _base64,
    "gbase64": _base64,
    "openssl": _openssl,
    "xxd": _xxd,
    "head": _first_lines,
    "tail": _first_lines,
    "sort": _first_lines,
    "uniq": _first_lines,
    "cut": _first_lines,
    "fold": _first_lines,
    "grep": _grep,
    "egrep": _grep,
    "fgrep": _grep,
    "sed": _sed,
    "gsed": _sed,
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

__all__ = ["BUILTINS", "MOST_LINES", "State", "decoded", "formatted"]
