"""What a command does, once its words are known: wrappers come off, programs that run others are followed."""

from __future__ import annotations

from utils.guard import deletion, wrappers
from utils.guard.access import opens
from utils.guard.argv import base_name
from utils.guard.builtins import BUILTINS
from utils.guard.deletion import DELETERS
from utils.guard.envfiles import names_protected
from utils.guard.finders import FINDERS
from utils.guard.marks import CLASS, GLOBS, UNKNOWN, UNKNOWN_ENV, UNKNOWN_RM, is_known, matches, plain
from utils.guard.syntax import TooLargeError
from utils.guard.tables import (
    COMMAND_OPTIONS,
    INTERPRETERS,
    PACKAGE_RUNNERS,
    RUNNERS,
    SHELLS,
    VERSION,
    WRAPPERS,
)
from utils.guard.verdict import ENV_FILE, RM_RF, Refused

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from utils.guard.evaluator import Evaluator

HANDLERS = {**DELETERS, **FINDERS}
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
    if name == CLASS:
        return program(ev, "[", argv, stdin)
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
        wrappers.command_options(ev, base, argv)
    if base in WRAPPERS:
        return wrappers.wrapper(ev, base, argv, stdin)
    if base == "env":
        return wrappers.env(ev, argv, stdin)
    language = INTERPRETERS.get(base) or INTERPRETERS.get(base.rstrip(VERSION))
    if language is not None:
        from utils.guard.interpreters import interpret

        return interpret(ev, base, argv, stdin, language)
    if base in _MORE:
        from utils.guard import carriers

        carriers.carry(ev, base, argv, stdin)
    elif base in RUNNERS or base in PACKAGE_RUNNERS:
        rest = wrappers.run_by_name(base, argv)
        if rest:
            return dispatch(ev, rest, stdin)
    elif base == "su" and stdin:
        run_shell(ev, stdin, None, "", "su reads a script from its input")
    else:
        wrappers.perhaps_wrapper(ev, argv, stdin)
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
    wrappers.perhaps_wrapper(ev, argv, stdin)
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
