"""What a command does, once its words are known: wrappers come off, programs that run others are followed."""

from __future__ import annotations

import os

from utils.guard import deletion
from utils.guard.builtins import BUILTINS
from utils.guard.deletion import DELETERS
from utils.guard.envfiles import mentions_protected, names_protected
from utils.guard.finders import FINDERS
from utils.guard.marks import GLOBS, UNKNOWN, UNKNOWN_ENV, UNKNOWN_RM, activate, is_known, matches, plain
from utils.guard.syntax import TooLargeError
from utils.guard.tables import (
    COMMAND_OPTIONS,
    GIT_ONLY_NAMES,
    INTERPRETERS,
    ONLY_NAMES,
    PACKAGE_RUNNERS,
    PATTERN_FIRST,
    RUNNERS,
    SHELLS,
    TEXT_OPTIONS,
    WRAPPERS,
)
from utils.guard.verdict import ENV_FILE, RM_RF, Refused

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from utils.guard.evaluator import Evaluator

HANDLERS = {**DELETERS, **FINDERS}
_VERSION = "0123456789.-"
_RISKY = (
    "rm",
    "unlink",
    "find",
    "xargs",
    "bash",
    "sh",
    "python3",
    "perl",
    "busybox",
    "env",
    "sudo",
    "cat",
    "shred",
)
_READERS_OF_LINKS = 64  # arguments whose symbolic links are looked up


def base_name(name: str) -> str:
    """Return the name by which a program is known: no directory, no .exe, lower case."""
    base = name.rpartition("/")[2].lower() if "/" in name else name.lower()
    if "\\" in base:
        base = base.rpartition("\\")[2]
    return base.removesuffix(".exe")


def dispatch(ev: Evaluator, argv: list[str], stdin: str, *, functions: bool = True) -> str:
    """Evaluate the command `argv` and return what it prints; raises `Refused`.

    functions: whether functions and aliases of the shell come before programs.
    """
    name = argv[0]
    if functions and name in ev.functions:
        from utils.guard.compound import call_function

        return call_function(ev, name, argv[1:], stdin)
    if functions and name in ev.aliases:
        return _alias(ev, name, argv[1:], stdin)
    if name in ("--", "-p", "!") and len(argv) > 1:  # what is left of a time keyword
        return dispatch(ev, argv[1:], stdin)
    if not is_known(name):
        return _unknown_program(ev, argv, stdin)
    for mark in GLOBS:
        if mark in name:
            argv = [_globbed(name), *argv[1:]]
            return dispatch(ev, argv, stdin, functions=functions)
    if ev.commands or ev.files:
        made = _made_here(ev, argv, stdin)
        if made is not None:
            return made
    return program(ev, base_name(name), argv, stdin)


def program(ev: Evaluator, base: str, argv: list[str], stdin: str) -> str:
    """Evaluate the program `base` with the words `argv` (its own name first)."""
    handler = BUILTINS.get(base)
    if handler is not None:
        return handler(ev, argv, stdin)
    handler = HANDLERS.get(base)
    if handler is not None:
        return handler(ev, argv, stdin)
    if base in SHELLS:
        return _shell(ev, argv, stdin)
    if base in COMMAND_OPTIONS:
        _command_options(ev, base, argv)
    if base in WRAPPERS:
        return _wrapper(ev, base, argv, stdin)
    if base == "env":
        return _env(ev, argv, stdin)
    language = INTERPRETERS.get(base) or INTERPRETERS.get(base.rstrip(_VERSION))
    if language is not None:
        from utils.guard.interpreters import interpret

        return interpret(ev, base, argv, stdin, language)
    if base in _MORE:
        from utils.guard import carriers

        carriers.carry(ev, base, argv, stdin)
    elif base in RUNNERS or base in PACKAGE_RUNNERS:
        rest = _runner(base, argv)
        if rest:
            return dispatch(ev, rest, stdin)
    elif base == "su" and stdin:
        run_shell(ev, stdin, None, "", "su reads a script from its input")
    else:
        _perhaps_wrapper(ev, argv, stdin)
    opens(ev, base, argv)
    return ev.unknown(" ".join(argv), stdin)


_MORE = frozenset(
    [
        "git",
        "ssh",
        "scp",
        "sftp",
        "rsh",
        "sshpass",
        "docker",
        "podman",
        "nerdctl",
        "kubectl",
        "oc",
        "docker-compose",
        "make",
        "gmake",
        "at",
        "batch",
        "crontab",
        "tmux",
        "screen",
        "watch",
        "ed",
        "socat",
        "ncat",
        "nc",
        "cmd",
        "powershell",
        "pwsh",
        "zip",
        "vim",
        "nvim",
        "vi",
        "ex",
        "start-stop-daemon",
        "wsl",
        "gdb",
        "lldb",
        "m4",
    ]
)


def run_words(ev: Evaluator, argv: list[str], stdin: str, what: str, *, functions: bool = False) -> str:
    """Evaluate a command that another program runs."""
    if not argv:
        return ""
    ev.trail.append(what)
    ev.depth += 1
    try:
        if ev.depth > 200:
            raise TooLargeError
        return dispatch(ev, argv, stdin, functions=functions)
    except Refused as refused:
        refused.came_by(ev.trail)
        raise
    finally:
        ev.depth -= 1
        ev.trail.pop()


def _alias(ev: Evaluator, name: str, arguments: list[str], stdin: str) -> str:
    body = ev.aliases.pop(name)  # an alias does not expand itself
    outer = ev.state.parameters
    ev.state.parameters = arguments
    try:
        return ev.script(body + ' "$@"', stdin=stdin, what=f"alias {name}")
    finally:
        ev.aliases[name] = body
        ev.state.parameters = outer


def _globbed(name: str) -> str:
    """Return the program that a glob in a command's place may become, the worst one first."""
    pattern = name.rpartition("/")[2]
    for candidate in _RISKY:
        if matches(pattern, candidate):
            return candidate
    return "a-program-matching-" + "".join(c for c in plain(pattern) if c.isalnum())


def _unknown_program(ev: Evaluator, argv: list[str], stdin: str) -> str:
    """Judge a command whose program cannot be known by what its arguments would do."""
    name = argv[0]
    shown = plain(" ".join(argv))[:120]
    if UNKNOWN_RM in name:
        raise Refused(RM_RF, f"what {shown} runs is made from text that deletes recursively")
    if UNKNOWN_ENV in name:
        raise Refused(ENV_FILE, f"what {shown} runs is made from text that names a protected file")
    if len(argv) > 1:
        recursive, forced, _ = deletion.rm_options(argv[1:])
        if recursive and forced and all(len(a) < 5 for a in argv[1:] if a[:1] == "-" and a[:2] != "--"):
            raise Refused(RM_RF, f"{shown} may be rm: its program cannot be known")
    _perhaps_wrapper(ev, argv, stdin)
    opens(ev, "", argv)
    return ev.unknown(" ".join(argv), stdin)


def _made_here(ev: Evaluator, argv: list[str], stdin: str) -> str | None:
    """Follow programs that the command itself copied, linked or wrote."""
    name = argv[0]
    where = ev.absolute(name) if "/" in name else name
    if where in ev.commands:
        return program(ev, ev.commands[where], argv, stdin)
    if where in ev.files and "/" in name:
        return run_file(ev, where, argv[1:], stdin)
    return None


def run_file(ev: Evaluator, path: str, arguments: list[str], stdin: str) -> str:
    """Evaluate a script that the command itself wrote to `path`."""
    content = ev.files[path]
    first = content.split("\n", 1)[0]
    if first.startswith("#!") and not any(
        first.rstrip().endswith(shell) for shell in ("sh", "bash", "env -S bash")
    ):
        interpreter = base_name(
            first[2:].strip().split(" ")[-1] if "env " in first else first[2:].strip().split(" ")[0]
        )
        if interpreter not in SHELLS:
            return run_words(ev, [interpreter, path, *arguments], stdin, f"script {path}")
    return run_shell(ev, content, arguments, stdin, f"script {path}", name=path)


def run_shell(
    ev: Evaluator, content: str, arguments: list[str] | None, stdin: str, what: str, *, name: str = "bash"
) -> str:
    """Evaluate `content` in a shell of its own."""
    outer = ev.state
    ev.state = outer.copy()
    ev.state.parameters = arguments
    ev.state.script_name = name
    try:
        return ev.script(content, stdin=stdin, what=what)
    finally:
        ev.state = outer


def _shell(ev: Evaluator, argv: list[str], stdin: str) -> str:
    """Follow ``sh -c``, a script file, or a script on standard input."""
    code = False
    from_stdin = False
    at = 1
    while at < len(argv):
        word = argv[at]
        if word in ("--", "-"):
            at += 1
            break
        if word[:1] not in ("-", "+") or len(word) < 2:
            break
        if word.startswith("--"):
            if word in ("--rcfile", "--init-file"):
                at += 1
                if at < len(argv):
                    _file(ev, argv[at], [], stdin)
            elif word == "--command":
                code = True
            at += 1
            continue
        letters = word[1:]
        if "n" in letters and word[0] == "-" and not letters.startswith("o"):
            return ""  # only reads the script
        if (
            letters[0] in "oO"
            and len(letters) > 1
            and letters.isalpha()
            and "c" not in letters[:1]
            and len(letters) > 3
        ):
            at += 1
            continue  # zsh: -onotify
        code = code or "c" in letters
        from_stdin = from_stdin or "s" in letters
        at += 1
        if letters[-1] in "oO" or "o" in letters:
            at += 1
    rest = argv[at:]
    if code and rest and rest[0] == "--":
        rest = rest[1:]
    if code:
        if not rest:
            return ""
        return run_shell(
            ev, rest[0], rest[2:], stdin, f"{argv[0]} -c", name=rest[1] if len(rest) > 1 else "bash"
        )
    if rest and not from_stdin:
        return _file(ev, rest[0], rest[1:], stdin)
    return run_shell(ev, stdin, rest, "", f"{argv[0]} reads a script from its input")


def _file(ev: Evaluator, path: str, arguments: list[str], stdin: str) -> str:
    """Follow a script file as far as the command itself made it."""
    if names_protected(path, ev.policy) or UNKNOWN_ENV in path:
        raise Refused(ENV_FILE, f"a shell would run {plain(path)}")
    if path.startswith(("/dev/", "/proc/")):
        content = ev.content(path, stdin)
        return run_shell(ev, content, arguments, "", f"script {path}", name=path)
    where = ev.absolute(path) if is_known(path) else path
    if where in ev.files:
        return run_file(ev, where, arguments, stdin)
    if not is_known(path):
        ev.refuse_smelling(path)
    return UNKNOWN


def options_end(argv: list[str], short: str, long: tuple[str, ...], at: int = 1) -> int:
    """Return the index of the first operand after options, some of which take the next word."""
    while at < len(argv):
        word = argv[at]
        if word == "--":
            return at + 1
        if word[:1] != "-" or word == "-":
            return at
        if word.startswith("--"):
            if "=" not in word and word[2:] in long:
                at += 1
        else:
            for index, letter in enumerate(word[1:], 1):
                if letter in short:
                    at += index == len(word) - 1
                    break
        at += 1
    return at


def _wrapper(ev: Evaluator, base: str, argv: list[str], stdin: str) -> str:
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
            return run_shell(ev, stdin, [], "", f"{base} reads a script from its input")
        return stdin if base == "exec" else ""
    if rest[0] in ("-v", "-V"):
        return ""
    return run_words(ev, rest, stdin, base, functions=base in ("time", "noglob"))


def _env(ev: Evaluator, argv: list[str], stdin: str) -> str:
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
                return _env(ev, ["env", *argv[at:]], stdin)
        if at >= len(argv):
            return UNKNOWN
        words = argv[at:]
        if " " in words[0] and not is_known(words[0]):
            words = words[0].split() + words[1:]
        return run_words(ev, words, stdin, "env")
    finally:
        ev.state.variables = saved


def _in_directory(ev: Evaluator, directory: str, argv: list[str], stdin: str) -> str:
    outer = list(ev.state.cwd)
    ev.state.cwd = [_joined(cwd, directory) for cwd in outer]
    try:
        return run_words(ev, argv, stdin, f"in {plain(directory)}")
    finally:
        ev.state.cwd = outer


def _joined(cwd: str, directory: str) -> str:
    if not is_known(directory):
        return UNKNOWN
    return directory if directory.startswith("/") else f"{cwd}/{directory}"


def _runner(base: str, argv: list[str]) -> list[str]:
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


def _command_options(ev: Evaluator, base: str, argv: list[str]) -> None:
    """Evaluate the command lines that options of `base` hold."""
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
                run_shell(ev, value, None, "", f"{base} {option}")


def _perhaps_wrapper(ev: Evaluator, argv: list[str], stdin: str) -> None:
    """Follow a command behind a program that is not in the tables, where one plainly stands there."""
    expects_value = False
    for index, word in enumerate(argv[1:], 1):
        if word == "--" or (word == "-c" and base_name(argv[0]).endswith("sh")):
            if word == "-c" and index + 1 < len(argv):
                run_shell(ev, argv[index + 1], argv[index + 3 :], stdin, f"{argv[0]} -c")
            elif index + 1 < len(argv) and _is_critical(argv[index + 1]):
                run_words(ev, argv[index + 1 :], stdin, plain(argv[0]))
            return
        if word.startswith(("--exec=", "--command=")):
            run_shell(ev, word.partition("=")[2], None, "", plain(argv[0]))
        if word in ("--exec", "--command", "-exec") and index + 1 < len(argv):
            value = argv[index + 1]
            run_shell(ev, value if " " in value else " ".join(argv[index + 1 :]), None, "", plain(argv[0]))
        if word.startswith("-"):
            expects_value = "=" not in word
            continue
        if _is_critical(word):
            run_words(ev, argv[index:], stdin, plain(argv[0]))
            return
        if not expects_value and not word[:1].isdigit() and "=" not in word:
            break
        expects_value = False
    if "--" in argv[1:]:
        rest = argv[argv.index("--", 1) + 1 :]
        if rest and _is_critical(rest[0]):
            run_words(ev, rest, stdin, plain(argv[0]))


def _is_critical(word: str) -> bool:
    """Say whether `word` is a program that a wrapper would be used to hide."""
    base = base_name(word)
    return (
        base in HANDLERS
        or base in SHELLS
        or base in WRAPPERS
        or base in ("env", "rm", "eval")
        or INTERPRETERS.get(base.rstrip(_VERSION)) is not None
    )


def opens(ev: Evaluator, base: str, argv: list[str]) -> None:
    """Refuse the program `base` if it would open a protected file that its arguments name."""
    if base in ONLY_NAMES or (base == "git" and _git_only_names(argv)):
        return
    gives, files = PATTERN_FIRST.get(base, ((), ()))
    pattern_due = base in PATTERN_FIRST and not any(_gives(word, (*gives, *files)) for word in argv[1:])
    texts = (*gives, "-t") if base == "gh" else gives
    skip = False
    for word in argv[1:]:
        if skip:
            skip = False
            continue
        if word[:1] == "-" and len(word) > 1:
            option, equals, _ = word.partition("=")
            if option in TEXT_OPTIONS or option in texts or _gives(word, texts):
                skip = not equals and (
                    option in TEXT_OPTIONS or option[-1:] == texts[0][-1:] if texts else True
                )
                continue
        elif pattern_due:
            pattern_due = False
            continue
        if UNKNOWN_ENV in word or mentions_protected(word, ev.policy, dot_ok=ev.dotglob):
            raise Refused(ENV_FILE, f"{plain(base or argv[0])} would open {plain(word)[:100]}")
        if "*" in word and mentions_protected(activate(word), ev.policy):  # a pattern for the program itself
            low = word.lower()
            if any(core in low for core in ev.policy.cores()):
                raise Refused(
                    ENV_FILE, f"{plain(base or argv[0])} would open what matches {plain(word)[:100]}"
                )
    if len(argv) <= _READERS_OF_LINKS and not ev.remote:
        for word in argv[1:]:
            if _leads_to_protected(ev, word):
                raise Refused(
                    ENV_FILE,
                    f"{plain(base or argv[0])} would open {plain(word)[:100]}, a link to a protected file",
                )


def _gives(word: str, options: tuple[str, ...]) -> bool:
    """Say whether `word` is one of `options`, alone, with its value, or at the end of a cluster."""
    if word[:1] != "-":
        return False
    if word[:2] == "--":
        return word.partition("=")[0] in options
    return any(len(o) == 2 and (word[:2] == o or (word[-1] == o[1] and word[1:].isalpha())) for o in options)


def _leads_to_protected(ev: Evaluator, word: str) -> bool:
    if word[:1] == "-" or len(word) > 1024 or not word.isascii():
        return False
    where = ev.absolute(word)
    if where in ev.links:
        return names_protected(ev.links[where], ev.policy)
    try:
        return names_protected(os.readlink(where), ev.policy)
    except (OSError, ValueError):
        return False


def _git_only_names(argv: list[str]) -> bool:
    at = options_end(argv, "cC", ("git-dir", "work-tree", "namespace"))
    if at >= len(argv):
        return True
    command = argv[at]
    if command == "log" and any(
        w in ("-p", "-u", "--patch") or w.startswith(("-L", "-S", "-G")) for w in argv
    ):
        return False
    if command == "rm" or command in GIT_ONLY_NAMES:
        return True
    return command == "add" and not any(w in ("-p", "--patch", "-e") for w in argv)
