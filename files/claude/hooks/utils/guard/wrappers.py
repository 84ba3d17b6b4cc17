"""Programs that run their arguments, or an option's value, as a command; the tables name them."""

from __future__ import annotations

from utils.guard.access import opens
from utils.guard.argv import base_name, options_end
from utils.guard.deletion import DELETERS
from utils.guard.finders import FINDERS
from utils.guard.marks import UNKNOWN, is_known, plain
from utils.guard.tables import (
    COMMAND_OPTIONS,
    INTERPRETERS,
    PACKAGE_RUNNERS,
    RUNNERS,
    SHELLS,
    VERSION,
    WRAPPERS,
)

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from utils.guard.evaluator import Evaluator


def wrapper(ev: Evaluator, base: str, argv: list[str], stdin: str) -> str:
    """Follow the command behind a wrapper of the table."""
    from utils.guard import commands

    short, long, skipped = WRAPPERS[base]
    if base == "command" and any(word in ("-v", "-V", "-pv", "-pV") for word in argv[1:2]):
        return "\n".join(argv[2:]) + "\n"
    opens_files = base == "dotenv"
    if opens_files:
        opens(ev, base, argv)
    at = options_end(argv, short, long)
    while at < len(argv) and "=" in argv[at] and argv[at].partition("=")[0].isidentifier():
        name, _, value = argv[at].partition("=")
        ev.assign(name, [value])
        at += 1
    rest = argv[at + skipped :]
    if skipped and rest and rest[0] == "--":
        rest = rest[1:]
    if base in ("sudo", "doas") and any(w in ("-e", "--edit") for w in argv[1:at]):
        opens(ev, "sudoedit", argv[at:])
        return ""
    if not rest:
        if any(word in ("-s", "-i", "--shell", "--login") for word in argv[1:]) and stdin:
            return commands.run_shell(ev, stdin, [], "", f"{base} reads a script from its input")
        return stdin if base == "exec" else ""
    if rest[0] in ("-v", "-V"):
        return ""
    return commands.run_words(ev, rest, stdin, base, functions=base in ("time", "noglob"))


def env(ev: Evaluator, argv: list[str], stdin: str) -> str:
    """Follow ``env`` with its options and assignments."""
    from utils.guard import commands

    at = 1
    saved = ev.state.variables
    ev.state.variables = dict(saved)
    try:
        while at < len(argv):
            word = argv[at]
            if word in ("-u", "--unset", "-C", "--chdir", "-P", "--argv0", "-a"):
                if word in ("-C", "--chdir") and at + 1 < len(argv):
                    return _in_directory(ev, argv[at + 1], ["env", *argv[at + 2 :]], stdin)
                at += 2
            elif word.startswith("--chdir="):
                return _in_directory(ev, word[8:], ["env", *argv[at + 1 :]], stdin)
            elif word.startswith(("-S", "--split-string")) or (
                word[:1] == "-" and "S" in word and "-" not in word[1:]
            ):
                inline = word.partition("S")[2] if word[1] != "-" else word.partition("=")[2]
                text = inline or (argv[at + 1] if at + 1 < len(argv) else "")
                rest = argv[at + (1 if inline else 2) :]
                outer = ev.state.parameters
                ev.state.parameters = rest
                try:
                    return ev.script("env " + text + ' "$@"', stdin=stdin, what="env -S")
                finally:
                    ev.state.parameters = outer
            elif word == "--":
                at += 1
                break
            elif word.startswith("-"):
                at += 1
            else:
                break
        while at < len(argv) and "=" in argv[at]:
            name, _, value = argv[at].partition("=")
            ev.assign(name, [value])
            at += 1
            if argv[at : at + 1] in (["-S"], ["-u"], ["-i"], ["-C"]):
                return env(ev, ["env", *argv[at:]], stdin)
        if at >= len(argv):
            return UNKNOWN
        words = argv[at:]
        if " " in words[0] and not is_known(words[0]):
            words = words[0].split() + words[1:]
        return commands.run_words(ev, words, stdin, "env")
    finally:
        ev.state.variables = saved


def _in_directory(ev: Evaluator, directory: str, argv: list[str], stdin: str) -> str:
    from utils.guard import commands

    outer = list(ev.state.cwd)
    ev.state.cwd = [_joined(cwd, directory) for cwd in outer]
    try:
        return commands.run_words(ev, argv, stdin, f"in {plain(directory)}")
    finally:
        ev.state.cwd = outer


def _joined(cwd: str, directory: str) -> str:
    if not is_known(directory):
        return UNKNOWN
    return directory if directory.startswith("/") else f"{cwd}/{directory}"


def run_by_name(base: str, argv: list[str]) -> list[str]:
    """Return the command that ``npx``, ``poetry run`` and their like run, a version taken off its name."""
    rest = _run_by(base, argv)
    return [rest[0][:1] + rest[0][1:].partition("@")[0], *rest[1:]] if rest else []


def _run_by(base: str, argv: list[str]) -> list[str]:
    at = options_end(argv, "pcn" if base in PACKAGE_RUNNERS else "", ("package", "from", "with", "python"))
    if base in ("npx", "npm", "pnpm", "yarn"):
        for index, word in enumerate(argv):
            if word in ("-c", "--call") and index + 1 < len(argv):
                return ["sh", "-c", argv[index + 1]]
    if base in PACKAGE_RUNNERS:
        return argv[at + (base == "pipx" and argv[at : at + 1] == ["run"]) :]
    if at >= len(argv):
        return []
    words = RUNNERS[base]
    if argv[at] in words:
        at += 1
        if base == "uv" and argv[at - 1] == "tool":
            at += 1
        if base == "direnv":
            at += 1
        at = options_end(argv, "nprw", ("package", "from", "with", "name", "prefix"), at)
        if base == "aws-vault":
            at += 1
            if argv[at : at + 1] == ["--"]:
                at += 1
        return argv[at:]
    if base in ("yarn", "pnpm", "bun") and argv[at] in ("rimraf", "shx", "del-cli"):
        return argv[at:]
    return []


def command_options(ev: Evaluator, base: str, argv: list[str]) -> None:
    """Evaluate the command lines that options of `base` hold."""
    from utils.guard import commands

    for option in COMMAND_OPTIONS[base]:
        for index, word in enumerate(argv[1:], 1):
            value = ""
            if word == option and index + 1 < len(argv):
                value = argv[index + 1]
            elif option.startswith("--") and word.startswith(option + "="):
                value = word[len(option) + 1 :]
            elif not option.startswith("--") and len(option) == 2 and word[:1] == "-" and word[1:2] != "-":
                letters = word[1:]
                place = letters.find(option[1])
                if (place < 0 or not letters[:place].isalpha()) and place != 0:
                    continue
                value = letters[place + 1 :] or (argv[index + 1] if index + 1 < len(argv) else "")
            if value:
                value = value.removeprefix("exec=").removeprefix("!").removeprefix(":!")
                commands.run_shell(ev, value, None, "", f"{base} {option}")


def perhaps_wrapper(ev: Evaluator, argv: list[str], stdin: str) -> None:
    """Follow a command behind a program that is not in the tables, where one plainly stands there."""
    from utils.guard import commands

    expects_value = False
    for index, word in enumerate(argv[1:], 1):
        if word == "--" or (word == "-c" and base_name(argv[0]).endswith("sh")):
            if word == "-c" and index + 1 < len(argv):
                commands.run_shell(ev, argv[index + 1], argv[index + 3 :], stdin, f"{argv[0]} -c")
            elif index + 1 < len(argv) and _is_critical(argv[index + 1]):
                commands.run_words(ev, argv[index + 1 :], stdin, plain(argv[0]))
            return
        if word.startswith(("--exec=", "--command=")):
            commands.run_shell(ev, word.partition("=")[2], None, "", plain(argv[0]))
        if word in ("--exec", "--command", "-exec") and index + 1 < len(argv):
            value = argv[index + 1]
            commands.run_shell(
                ev, value if " " in value else " ".join(argv[index + 1 :]), None, "", plain(argv[0])
            )
        if word.startswith("-"):
            expects_value = "=" not in word
            continue
        if _is_critical(word):
            commands.run_words(ev, argv[index:], stdin, plain(argv[0]))
            return
        if not expects_value and not word[:1].isdigit() and "=" not in word:
            break
        expects_value = False
    if "--" in argv[1:]:
        rest = argv[argv.index("--", 1) + 1 :]
        if rest and _is_critical(rest[0]):
            commands.run_words(ev, rest, stdin, plain(argv[0]))


def _is_critical(word: str) -> bool:
    """Say whether `word` is a program that a wrapper would be used to hide."""
    base = base_name(word)
    return (
        base in DELETERS
        or base in FINDERS
        or base in SHELLS
        or base in WRAPPERS
        or base in ("env", "rm", "eval")
        or INTERPRETERS.get(base.rstrip(VERSION)) is not None
    )
