"""Programs that hand names to others: find, fd, ls, xargs, parallel; and rsync, which deletes by itself."""

from __future__ import annotations

from utils.guard.deletion import refuse_targets
from utils.guard.envfiles import names_protected
from utils.guard.marks import DEEP, STAR, UNKNOWN, activate, is_known, plain
from utils.guard.paths import normal
from utils.guard.tables import SHELLS
from utils.guard.verdict import ENV_FILE, RM_RF, Refused

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from collections.abc import Callable

    from utils.guard.evaluator import Evaluator

    Handler = Callable[[Evaluator, list[str], str], str]

_FIND_VALUES = frozenset(
    [
        "-name",
        "-iname",
        "-path",
        "-ipath",
        "-wholename",
        "-iwholename",
        "-regex",
        "-iregex",
        "-lname",
        "-ilname",
        "-type",
        "-xtype",
        "-size",
        "-mtime",
        "-atime",
        "-ctime",
        "-mmin",
        "-amin",
        "-cmin",
        "-newer",
        "-anewer",
        "-cnewer",
        "-perm",
        "-user",
        "-group",
        "-uid",
        "-gid",
        "-maxdepth",
        "-mindepth",
        "-links",
        "-inum",
        "-samefile",
        "-fstype",
        "-printf",
        "-fprint",
        "-fprint0",
        "-fls",
        "-used",
        "-context",
        "-regextype",
        "-D",
        "-newermt",
        "-newerat",
        "-newerct",
        "-files0-from",
    ]
)


def _find(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    from utils.guard.commands import run_words

    at = 1
    while at < len(argv) and (argv[at] in ("-H", "-L", "-P") or argv[at].startswith(("-O", "-D"))):
        at += 1
    starts = []
    while at < len(argv) and argv[at][:1] != "-" and argv[at] not in ("(", ")", "!", ","):
        starts.append(argv[at])
        at += 1
    starts = starts or ["."]
    names: list[str] = []
    negated = loose = deletes = only_itself = False
    branches = [[True, False]]  # for each open bracket: all branches so far filter by name, this one does
    commands: list[list[str]] = []
    prints = True
    while at < len(argv):
        word = argv[at]
        if word in ("!", "-not"):
            negated = True
        elif word in ("-o", "-or", ","):
            branches[-1] = [branches[-1][0] and branches[-1][1], False]
        elif word == "(":
            branches.append([True, False])
        elif word == ")" and len(branches) > 1:
            every, this = branches.pop()
            branches[-1][1] = branches[-1][1] or (every and this)
        elif word == "-delete":
            deletes = True
            loose = loose or not any(this for _, this in branches)
        elif word in ("-exec", "-execdir", "-ok", "-okdir"):
            end = at + 1
            while end < len(argv) and argv[end] != ";" and not (argv[end] == "+" and argv[end - 1] == "{}"):
                end += 1
            commands.append(argv[at + 1 : end])
            loose = loose or not any(this for _, this in branches)
            prints = False
            at = end
        elif word == "-fprintf":
            at += 2
        elif word in _FIND_VALUES:
            value = argv[at + 1] if at + 1 < len(argv) else ""
            if word in ("-fprint", "-fprint0", "-fls") and names_protected(value, ev.policy):
                raise Refused(ENV_FILE, f"find would write to {plain(value)}")
            if word in ("-name", "-iname", "-path", "-ipath", "-wholename") and not negated:
                names.append(value)
                branches[-1][1] = True
            elif word == "-maxdepth" and value == "0":
                only_itself = True
            negated = False
            at += 1
        elif not is_known(word) and word[:1] == "-" and UNKNOWN not in word:
            pass
        else:
            negated = False
        at += 1
    found = [] if loose else _found(starts, names)
    everything = found or (
        [*starts] if only_itself else [f"{start.rstrip('/') or ''}/{DEEP}" for start in starts]
    )
    if deletes:
        if (
            "-empty" in argv
            and "-type" in argv
            and argv[argv.index("-type") + 1 : argv.index("-type") + 2] == ["d"]
        ):
            pass  # removes nothing but empty directories
        else:
            targets = everything if found or only_itself else starts
            refuse_targets(ev, targets, plain(" ".join(argv))[:100], any_depth=True)
    for command in commands:
        _with_names(ev, command, everything, starts, found, run_words)
    return "\n".join(everything) + "\n" if prints else ""


def _found(starts: list[str], names: list[str]) -> list[str]:
    """Return patterns of what find prints when it filters by name; empty when it does not."""
    found = []
    for start in starts:
        for name in names:
            literal = activate(name)
            root = start.rstrip("/")
            if "/" in name:
                found.append(literal if name.startswith("/") else f"{root}/{DEEP}{literal.lstrip('.')}")
            else:
                found.append(f"{root}/{DEEP}/{literal}")
    return found


def _with_names(
    ev: Evaluator,
    command: list[str],
    everything: list[str],
    starts: list[str],
    found: list[str],
    run_words: Callable[[Evaluator, list[str], str, str], str],
) -> None:
    """Evaluate a command of ``-exec`` with what ``{}`` stands for."""
    if not command:
        return
    values = everything if found else [*starts, *everything]
    for value in values[:12]:
        words = [word.replace("{}", value) if "{}" in word else word for word in command]
        run_words(ev, words, "", "find -exec")


def _fd(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    from utils.guard.commands import run_words

    for index, word in enumerate(argv):
        if word in ("-x", "-X", "--exec", "--exec-batch"):
            operands = [w for w in argv[1:index] if w[:1] != "-"]
            starts = operands[1:] or ["."]
            pattern = operands[0] if operands and any(c.isalnum() for c in operands[0]) else ""
            command = argv[index + 1 :]
            if command and command[-1] == ";":
                command.pop()
            if "{}" not in " ".join(command):
                command = [*command, "{}"]
            names = [f"*{pattern.replace(chr(92), '').strip('^$.')}*"] if pattern else []
            found = _found(starts, names)
            everything = found or [f"{start.rstrip('/')}/{DEEP}" for start in starts]
            _with_names(ev, command, everything, starts, found, run_words)
            return ""
    operands = [w for w in argv[1:] if w[:1] != "-"]
    pattern = operands[0] if operands else ""
    literal = f"*{pattern.strip('^$.')}*" if any(c.isalnum() for c in pattern) else ""
    starts = operands[1:] or ["."]
    found = _found(starts, [literal]) if literal else [f"{start.rstrip('/')}/{DEEP}" for start in starts]
    return "\n".join(found) + "\n"


_XARGS_VALUES = "adEILnPsRSJ"


def _xargs(ev: Evaluator, argv: list[str], stdin: str) -> str:
    from utils.guard.argv import base_name
    from utils.guard.commands import run_shell, run_words

    at = 1
    place = ""
    whole_lines = null = False
    items_file = ""
    while at < len(argv):
        word = argv[at]
        if word == "--":
            at += 1
            break
        if word[:1] != "-" or word == "-":
            break
        name, equals, value = word.partition("=")
        if word.startswith("--"):
            if name == "--replace":
                place = value or "{}"
            elif name in (
                "--arg-file",
                "--delimiter",
                "--max-args",
                "--max-procs",
                "--max-lines",
                "--max-chars",
                "--eof",
            ):
                if not equals and name not in ("--max-lines", "--eof"):
                    at += 1
                    value = argv[at] if at < len(argv) else ""
                items_file = value if name == "--arg-file" else items_file
                whole_lines = whole_lines or name == "--delimiter"
            null = null or name == "--null"
        else:
            letters = word[1:]
            index = 0
            while index < len(letters):
                letter = letters[index]
                rest = letters[index + 1 :]
                if letter == "i":
                    place = rest or "{}"
                    break
                if letter in _XARGS_VALUES:
                    if not rest:
                        at += 1
                        rest = argv[at] if at < len(argv) else ""
                    if letter in "IJ":
                        place = rest
                    elif letter == "a":
                        items_file = rest
                    whole_lines = whole_lines or letter == "d"
                    break
                null = null or letter == "0"
                index += 1
        at += 1
    command = argv[at:] or ["echo"]
    if items_file:
        if names_protected(items_file, ev.policy):
            raise Refused(ENV_FILE, f"xargs would read {plain(items_file)}")
        stdin = ev.content(items_file, UNKNOWN)
    items = _items(stdin, whole_lines=whole_lines or null or bool(place))
    if base_name(command[0]) in SHELLS and stdin and stdin != UNKNOWN:
        run_shell(ev, stdin, None, "", "xargs hands its input to a shell")
    if place and any(place in word for word in command):
        filled = [[word.replace(place, item) for word in command] for item in items[:40] or [UNKNOWN]]
        return "".join([run_words(ev, words, "", "xargs") for words in filled])
    return run_words(ev, command + (items or [UNKNOWN])[:2000], "", "xargs")


def _items(stdin: str, *, whole_lines: bool) -> list[str]:
    if whole_lines:
        items = [item for item in stdin.replace("\0", "\n").split("\n") if item]
        if "\0" not in stdin and stdin.strip("\n").count("\n"):
            items.append(stdin.strip("\n"))
        return items
    items = []
    for word in stdin.replace('"', "").replace("'", "").replace("\\", "").split():
        items.append(word)
    return items


def _parallel(ev: Evaluator, argv: list[str], stdin: str) -> str:
    from utils.guard.commands import run_shell

    at = 1
    while at < len(argv) and argv[at][:1] == "-" and argv[at] != "-":
        word = argv[at]
        if word in (
            "-j",
            "--jobs",
            "-S",
            "--sshlogin",
            "-n",
            "-N",
            "-L",
            "--colsep",
            "-C",
            "-I",
            "--delay",
            "--joblog",
            "-a",
            "--arg-file",
            "--timeout",
            "--results",
            "--tmpdir",
            "--wd",
            "--workdir",
        ):
            at += 1
        at += 1
    command: list[str] = []
    groups: list[list[str]] = []
    while at < len(argv):
        word = argv[at]
        if word in (":::", ":::+", "::::", "::::+"):
            groups.append([])
            if word.startswith("::::"):
                groups[-1].append(UNKNOWN)
        elif groups:
            groups[-1].append(word)
        else:
            command.append(word)
        at += 1
    items = (
        [item for group in groups for item in group]
        if groups
        else _items(stdin, whole_lines=True) or [UNKNOWN]
    )
    for item in items[:40]:
        if not command:
            run_shell(ev, item, None, "", "parallel")
            continue
        filled = [_filled(word, item) for word in command]
        if filled == command:
            filled = [*command, item]
        if len(command) == 1 and " " in command[0]:
            run_shell(ev, " ".join(filled), None, "", "parallel")
        else:
            from utils.guard.commands import run_words

            run_words(ev, filled, "", "parallel")
            if " " in item and command[0].endswith("sh"):
                run_shell(ev, item, None, "", "parallel")
    return ev.unknown(" ".join(argv), stdin)


def _filled(word: str, item: str) -> str:
    for place in ("{}", "{1}", "{2}", "{.}", "{/}", "{//}", "{/.}"):
        word = word.replace(place, item)
    return word


def _rsync(ev: Evaluator, argv: list[str], stdin: str) -> str:
    from utils.guard.access import opens
    from utils.guard.wrappers import command_options

    command_options(ev, "rsync", argv)
    opens(ev, "rsync", argv)
    operands = [word for word in argv[1:] if word[:1] != "-"]
    deleting = any(word.startswith("--del") for word in argv)
    dry = any(
        word in ("-n", "--dry-run", "--list-only") or (word[:1] == "-" and word[1:2] != "-" and "n" in word)
        for word in argv[1:]
    )
    if deleting and not dry and len(operands) > 1:
        target = operands[-1]
        sources = operands[:-1]
        empty = any(_looks_empty(ev, source) for source in sources)
        remote = ":" in target.partition("/")[0]
        if remote and empty:
            raise Refused(RM_RF, f"{plain(' '.join(argv))[:100]}: it empties {plain(target)}")
        if not remote and (empty or not sources[0].partition("/")[0].count(":")):
            act = plain(" ".join(argv))[:100]
            if empty:
                refuse_targets(ev, [target.rstrip("/") or "/"], act)
            elif target.startswith("/") and is_known(target) and normal(target).count("/") < 2:
                raise Refused(RM_RF, f"{act}: it deletes in {plain(target)}")
    return ev.unknown(stdin)


def _looks_empty(ev: Evaluator, source: str) -> bool:
    name = source.rstrip("/").rpartition("/")[2].lower()
    return (
        source == "/dev/null"
        or "empty" in name
        or name in ("none", "void", "blank")
        or (name.startswith("tmp.") or ev.files.get(ev.absolute(source), "") == "\x00directory")
    )


def _ls(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    operands = [word for word in argv[1:] if word[:1] != "-"]
    flags = "".join(word for word in argv[1:] if word[:1] == "-" and word[1:2] != "-")
    if "R" in flags:
        return "\n".join(f"{start.rstrip('/')}/{DEEP}" for start in operands or ["."]) + "\n"
    lines = [operand for operand in operands if STAR in operand or names_protected(operand, ev.policy)]
    return "\n".join([*lines, UNKNOWN]) + "\n"


FINDERS: dict[str, Handler] = {
    "find": _find,
    "gfind": _find,
    "bfs": _find,
    "fd": _fd,
    "fdfind": _fd,
    "xargs": _xargs,
    "gxargs": _xargs,
    "parallel": _parallel,
    "rsync": _rsync,
    "ls": _ls,
}
