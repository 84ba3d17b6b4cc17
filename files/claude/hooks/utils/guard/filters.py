"""Commands whose output can be told from their words and input: echo, printf, filters, decoders."""

from __future__ import annotations

from utils.guard.envfiles import names_protected
from utils.guard.marks import DEEP, UNKNOWN, UNKNOWN_ENV, is_known, is_literal, plain
from utils.guard.verdict import ENV_FILE, Refused
from utils.guard.words import unescape

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from collections.abc import Callable

    from utils.guard.evaluator import Evaluator

    Handler = Callable[[Evaluator, list[str], str], str]


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
    from utils.guard.access import opens

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
    return stdin.translate({ord(sets[0][i]): padded[i] for i in reversed(range(len(sets[0])))})


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
    from utils.guard.access import opens

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
    from utils.guard.access import opens

    base = argv[0].rpartition("/")[2]
    opens(ev, base, argv)
    operands = [word for word in argv[1:] if word[:1] != "-" and not word.isdigit()]
    if operands and base not in ("cut", "fold", "fmt"):
        return ev.content(operands[-1], stdin) if is_literal(operands[-1]) else UNKNOWN
    return ev.unknown(stdin) if base == "cut" else stdin


def _grep(ev: Evaluator, argv: list[str], stdin: str) -> str:
    from utils.guard.access import opens

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
    from utils.guard.access import opens
    from utils.guard.commands import run_shell

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
    from utils.guard.access import opens

    opens(ev, argv[0].rpartition("/")[2], argv)
    return ev.unknown(" ".join(argv), stdin)


FILTERS: dict[str, Handler] = {
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
}
