"""Programs given to interpreters: Python, Perl, Ruby, JavaScript, PHP, Lua, awk, AppleScript.

Their code is not parsed but read: string literals (joined, decoded, reversed), calls that delete trees, calls
that run a shell, calls that open files. A print of the same words passes, because what counts is judged on
the code without its literals.
"""

from __future__ import annotations

import re

from utils.guard import smell
from utils.guard.access import opens
from utils.guard.commands import dispatch, run_shell
from utils.guard.deletion import refuse_targets
from utils.guard.envfiles import mentions_protected, names_protected
from utils.guard.filters import decoded
from utils.guard.marks import DEEP, UNKNOWN, activate, is_known, is_literal, plain
from utils.guard.verdict import ENV_FILE, RM_RF, Refused
from utils.guard.words import unescape

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from utils.guard.evaluator import Evaluator

MOST_CODE = 200_000  # characters of a program that are read
_LITERAL = re.compile(r'("""|\'\'\'|["\'`])((?:\\.|(?!\1).)*?)\1', re.DOTALL)
_FORMATTED = re.compile(r"[#$]?\{[^}]*\}|[$@]\w+")
_COMMENT = re.compile(r"(?m)^\s*(?:#(?!\{)|//).*$")
_TREE = re.compile(
    r"\b(?:rmtree|rm_rf|rm_r|remove_entry|remove_entry_secure|remove_dir|remove_tree|rimraf(?:\.sync|Sync)?|removeSync|"
    r"emptyDirSync|emptyDir|remove_dir_all|removedirs|deltree|delete_recursively|deleteRecursively|removeItem|"
    r"removeItemAtPath|rm_rfv)\b(\s*\(?\s*)"
)
_SCRIPT_TREE = re.compile(r"\b(?:rmSync|rmdirSync|rmdir|rm|remove|removeSync)\s*\(\s*")
_RECURSIVE = re.compile(r"[\"']?recursive[\"']?\s*:\s*(?:true|!0|1)", re.IGNORECASE)
_WALKS = re.compile(
    r"\b(?:walk|walkSync|scandir|listdir|iterdir|rglob|glob|iglob|readdir|readdirSync|finddepth|find|lfs\.dir|"
    r"RecursiveDirectoryIterator|DirectoryIterator|opendir|children|each_child|entries|Dir)\b"
)
_UNLINKS = re.compile(
    r"\b(?:os\.remove|os\.unlink|os\.rmdir|unlink|unlinkSync|rmdir|rmdirSync|File\.delete|File\.unlink|delete|rm)\b"
)
_FILTERS = re.compile(r"\b(?:endswith|endsWith|suffix|splitext|extname|fnmatch|end_with|=~|match)\b")
_RUNS = re.compile(
    r"\b(?:system|popen\w*|exec\w*|spawn\w*|subprocess|check_output|check_call|getoutput|getstatusoutput|shell_exec|"
    r"passthru|proc_open|pcntl_exec|child_process|Open3|capture[23]e?|qx|getline|fork|posix_spawn\w*|pty|pexpect|"
    r"ShellExecute|Process|Command|cmd|sh|shell|run|call|execute|tcsetpgrp)\b|"
    r"%x|\bdo shell script\b|\|&?\s*$|\|\s*(?:\x00|-)|\$\x00"
)
_EVALS = re.compile(
    r"\b(?:eval|exec|execfile|Function|compile|instance_eval|class_eval|assert|create_function|getattr|globals|__import__|vars|send|public_send|const_get|loadstring|load)\b|\[\s*\x00"
)
_OPENS = re.compile(
    r"open|read|write|load|file|path|\bfs\b|slurp|dotenv|copy|copies|link|\bcat\b|glob|<|require|import\s*\(|source|include|"
    r"getline|ARGV|Deno|Bun|system|exec|spawn|popen|subprocess|run|rename|move|stream|`|unlink|parse|config|dir",
    re.IGNORECASE,
)
_DOTENV = re.compile(
    r"\bload_dotenv\s*\(|\bdotenv_values\s*\(|\bDotenv\.load|dotenv\W+\)?\s*\.\s*config\s*\("
)
_CODES = re.compile(r"\bchr\s*\(\s*(\d+|0x[0-9a-fA-F]+)\s*\)")
_SCRIPT_CODES = re.compile(r"(?:String\s*\.\s*)?fromCharCode\s*\(([\d\s,x]+)\)")
_ALIASES = re.compile(r"\b(?:rmtree|remove_tree|rmSync|rimraf)\s*(?:as|:)\s*(\w+)")
_SHELL_QUOTES = re.compile(
    r"`([^`]*)`|(?:%x|qx)\s*(?:\(([^)]*)\)|\[([^\]]*)\]|\{([^}]*)\}|([^\w\s])(.*?)\5)", re.DOTALL
)
_CHAR_CODES = re.compile(
    r"fromCharCode\s*\(([\d\s,x]+)\)|\bpack\s*\(?\s*\x00\s*,\s*([\d\s,x]+)\)?|bytes\s*\(\s*\[([\d\s,x]+)\]"
)
_DECODES = re.compile(
    r"b64|base64|atob|decode64|fromhex|unhexlify|Buffer|unpack|decode|rot13|hex", re.IGNORECASE
)
_REVERSES = re.compile(r"\[::-1\]|revers|strrev", re.IGNORECASE)
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}\s*){3,}")
_WORDS = re.compile(
    r"(?:\bqw|%[wWiI])\s*(?:\(([^)]*)\)|\[([^\]]*)\]|\{([^}]*)\}|<([^>]*)>|([/|!])(.*?)\5)", re.DOTALL
)


def interpret(
    ev: Evaluator, base: str, argv: list[str], stdin: str, table: tuple[tuple[str, ...], str]
) -> str:
    """Follow the interpreter `base` with the words `argv` and return what it prints: unknown text."""
    options, language = table
    codes, operands = _codes(argv, options, language, base)
    if not codes:
        if not operands or operands[0] == "-" or operands[0] in ("/dev/stdin", "/dev/fd/0"):
            codes = [stdin] if stdin else []
        else:
            first = operands[0]
            if first.startswith(("/dev/fd/", "/proc/self/fd/")):
                codes = [ev.content(first, stdin)]
            elif is_known(first) and ev.absolute(first) in ev.files:
                codes = [ev.files[ev.absolute(first)]]
    for code in codes:
        ev.trail.append(f"{argv[0]}: {plain(code.strip())[:120]}")
        judge(ev, code, language)
        ev.trail.pop()
    if base == "deno" and "eval" not in argv:
        codes = []
    opens(ev, "", [argv[0], *[word for word in argv[1:] if word not in codes]])
    if language == "python" and "-m" in argv:
        module = argv[argv.index("-m") + 1 :]
        if module[:1] == ["shutil"]:
            dispatch(ev, ["rm", "-rf", *module[1:]], stdin)
    return ev.unknown(" ".join(codes), stdin) if codes else ev.unknown(stdin)


def _codes(
    argv: list[str], options: tuple[str, ...], language: str, base: str
) -> tuple[list[str], list[str]]:
    """Return the programs that the command line holds, and its operands."""
    codes: list[str] = []
    operands: list[str] = []
    letters = [option[1] for option in options if len(option) == 2]
    at = 1
    awk = language == "awk"
    while at < len(argv):
        word = argv[at]
        at += 1
        if word == "--":
            operands += argv[at:]
            break
        if word in options or (base == "deno" and word == "eval" and not operands):
            if at < len(argv):
                while base == "deno" and argv[at][:1] == "-" and at + 1 < len(argv):
                    at += 1
                codes.append(argv[at])
                at += 1
        elif any(option.startswith("--") and word.startswith(option + "=") for option in options):
            codes.append(word.partition("=")[2])
        elif word[:1] == "-" and word[1:2] not in ("-", "") and not awk:
            found = [(word.find(letter, 1), letter) for letter in letters if letter in word[1:]]
            if found and word[1 : min(found)[0]].isalnum() | (min(found)[0] == 1):
                place = min(found)[0]
                inline = word[place + 1 :]
                if language == "perl" and word[1] in "IMmiFD":
                    continue
                if inline and language in ("python", "php", "lua", "perl", "ruby", "javascript"):
                    codes.append(
                        inline
                        if language != "javascript" or len(inline) > 1
                        else (argv[at : at + 1] or [""])[0]
                    )
                elif at < len(argv):
                    codes.append(argv[at])
                    at += 1
            elif language == "python" and word == "-m":
                operands += argv[at:]
                break
            elif word in ("-W", "-X", "-r", "--require", "-I"):
                at += 1
        elif awk and word in ("-f", "-F", "-v", "--file"):
            at += 1
        elif awk and word[:1] == "-":
            continue
        elif awk and not codes:
            codes.append(word)
        elif word[:1] != "-" or word == "-":
            operands.append(word)
            if not codes and not awk and language != "javascript":
                operands += argv[at:]
                break
        elif word in ("--require", "--import", "--loader"):
            at += 1
    return codes, operands


def _characters(numbers: str) -> str:
    """Return the text whose character codes are listed, comma between."""
    codes = [int(n, 0) for n in numbers.replace(" ", "").split(",") if n]
    return "".join(chr(code) for code in codes if 0 < code < 0x110000)


class _Literal:
    __slots__ = ("end", "formatted", "start", "text")

    def __init__(self, start: int, end: int, text: str, *, formatted: bool) -> None:
        self.start = start
        self.end = end
        self.text = text
        self.formatted = formatted


def judge(ev: Evaluator, code: str, language: str, depth: int = 0) -> None:
    """Refuse a program that deletes, or opens a protected file."""
    if not is_known(code):
        ev.refuse_smelling(code)
    if len(code) > MOST_CODE:
        found = smell.of(code, ev.policy)
        if found:
            raise Refused(found, "a program too long to be read smells of it")
        return
    if language != "other":
        code = _COMMENT.sub("", code)
    code = _CODES.sub(lambda match: repr(chr(int(match[1], 0) % 0x110000)), code)
    code = _SCRIPT_CODES.sub(lambda match: repr(_characters(match[1])), code)
    for alias in _ALIASES.findall(code):
        code = re.sub(rf"\b{re.escape(alias)}\s*\(", "rmtree(", code)
    literals = _literals(code, language)
    skeleton = _skeleton(code, literals)
    for match in _CHAR_CODES.finditer(skeleton):
        numbers = [n for group in match.groups() if group for n in group.replace(" ", "").split(",") if n]
        literals.append(_Literal(0, 0, _characters(",".join(numbers)), formatted=False))
    texts = [literal.text for literal in literals]
    if _DECODES.search(skeleton):
        for value in list(texts):
            clear = _decoded(value)
            if clear:
                texts.append(clear)
                if depth < 4:
                    judge(ev, clear, language, depth + 1)
    if _REVERSES.search(skeleton):
        texts += [value[::-1] for value in list(texts)]
        texts.append("".join(value[::-1] for value in reversed(texts[: len(literals)])))
    if depth < 4 and _EVALS.search(skeleton):
        for value in texts:
            if len(value) > 3:
                judge(ev, value, language, depth + 1)
            if _TREE.match(value + "("):
                raise Refused(RM_RF, f"a program reaches {value} by name")
    _refuse_deletion(ev, code, skeleton, literals)
    if language in ("perl", "ruby", "php"):
        for groups in _SHELL_QUOTES.findall(code):
            run_shell(ev, "".join((*groups[:4], groups[5])), None, "", f"{language} shell")
    if _RUNS.search(skeleton) or language == "awk" or re.search(r"\beval\b", skeleton):
        _refuse_commands(ev, code, literals, texts, language)
    _refuse_files(ev, code, skeleton, texts, language)


def _literals(code: str, language: str) -> list[_Literal]:
    """Return the string literals, those that are only joined together as one."""
    found: list[_Literal] = []
    for match in _LITERAL.finditer(code):
        if match[1] == "`" and language != "javascript":
            continue
        prefix = code[max(0, match.start() - 2) : match.start()].lower()
        value = match[2]
        formatted = (
            (prefix[-1:] == "f" and language == "python" and "{" in value)
            or (match[1] == "`" and "${" in value)
            or (language == "ruby" and "#{" in value)
            or (language in ("perl", "php") and match[1] == '"' and re.search(r"[$@]\w", value) is not None)
        )
        text = (
            value
            if prefix[-1:] == "r" or (match[1] == "'" and language in ("perl", "php"))
            else unescape(value)
        )
        if formatted:
            text = _FORMATTED.sub(UNKNOWN, text)
        between = code[found[-1].end : match.start()] if found else "x"
        between = between.strip()
        if (found and between in ("+", ".", "..", "<<", "")) or (
            found and between in ("b", "r", "f", "+r", "+b", "+f")
        ):
            last = found[-1]
            found[-1] = _Literal(
                last.start, match.end(), last.text + text, formatted=last.formatted or formatted
            )
        else:
            found.append(_Literal(match.start(), match.end(), text, formatted=formatted))
    return found


def _skeleton(code: str, literals: list[_Literal]) -> str:
    """Return `code` with NUL in place of each literal."""
    parts = []
    at = 0
    for literal in literals:
        parts.append(code[at : literal.start])
        at = literal.end
    parts.append(code[at:])
    return "\x00".join(parts)


def _decoded(value: str) -> str:
    if len(value) >= 6:
        compact = value.strip()
        if _HEX.fullmatch(compact):
            try:
                return bytes.fromhex(compact).decode("utf-8", "ignore")
            except ValueError:
                pass
        clear = decoded(compact)
        if clear and clear.isprintable() | ("\n" in clear):
            return clear
    return ""


def _targets(code: str, literals: list[_Literal], at: int) -> list[str]:
    """Return the literal targets of the call whose arguments begin at `at`, or unknown text."""
    targets: list[str] = []
    while True:
        while code[at : at + 1] in (" ", "\n", "\t", "[", "(") and at < len(code):
            at += 1
        literal = next(
            (item for item in literals if item.start <= at < item.end or item.start == at + 1), None
        )
        if literal is None or literal.formatted or (literal.start > at and code[at].lower() not in "rbu"):
            word = re.match(r"(?:os\.)?path\.join|Path|pathlib\.Path|__dirname", code[at : at + 20])
            if word and not targets:
                at += word.end()
                continue
            if targets:
                return targets
            return [UNKNOWN]
        targets.append(literal.text)
        at = literal.end
        rest = code[at : at + 60].lstrip()
        if rest[:1] in ("+", ".", "/", "%") and rest[:2] != "//":
            return [UNKNOWN]
        if rest[:1] != ",":
            return targets
        at = code.index(",", at) + 1


def _refuse_deletion(ev: Evaluator, code: str, skeleton: str, literals: list[_Literal]) -> None:
    inside = [(literal.start, literal.end) for literal in literals if literal.end]

    def is_text(position: int) -> bool:
        return any(start <= position < end for start, end in inside)

    for match in _TREE.finditer(code):
        before = code[: match.start()].rsplit("\n", 1)[-1].rsplit(";", 1)[-1]
        if is_text(match.start()) or re.match(
            r"\s*(?:from|import|use|require|const|var|let)\b[^(]*$", before
        ):
            continue
        refuse_targets(
            ev,
            [activate_home(ev, t) for t in _targets(code, literals, match.end())],
            f"a program calls {match[0].strip(' (')}",
        )
    if _RECURSIVE.search(skeleton) or re.search(r"[\"']recursive[\"']\s*:", code):
        for match in _SCRIPT_TREE.finditer(code):
            if not is_text(match.start()):
                refuse_targets(
                    ev,
                    [activate_home(ev, t) for t in _targets(code, literals, match.end())[:1]],
                    "a program removes a tree",
                )
    if (_WALKS.search(skeleton) and (_UNLINKS.search(skeleton) or _hands_on(literals))) or re.search(
        r"unlink\s*\(?\s*<", code
    ):
        paths = [literal.text for literal in literals if _is_pathlike(literal.text)] or ["."]
        patterns = [
            path for path in paths if "*" in path and any(c.isalnum() for c in path) and "/" not in path
        ]
        bases = [path for path in paths if "*" not in path] or (
            ["."] if not patterns or len(paths) == len(patterns) else []
        )
        bases += [path for path in paths if "*" in path and path not in patterns]
        filters = patterns or (["*.x"] if _FILTERS.search(skeleton) else [])
        for path in bases:
            targets = [f"{path.rstrip('/')}/{DEEP}/{activate(f)}" for f in filters] or [activate(path)]
            refuse_targets(ev, targets, "a program unlinks what it finds in a directory", any_depth=True)


def activate_home(ev: Evaluator, target: str) -> str:
    """Return `target` with a leading tilde replaced."""
    if target == "~" or target.startswith("~/"):
        return ev.home() + target[1:]
    return target


def _is_pathlike(text: str) -> bool:
    return text[:1] in ("/", ".", "~") or "/" in text or "*" in text


def _refuse_commands(
    ev: Evaluator, code: str, literals: list[_Literal], texts: list[str], language: str
) -> None:
    """Judge what a program gives to a shell: lists of words as a command, other literals as a script."""
    used: set[int] = set()
    run: list[_Literal] = []
    for literal in [*literals, None]:
        if literal is not None and literal.end and run:
            between = code[run[-1].end : literal.start].strip()
            if between == "," or re.fullmatch(r",\s*[\[(]?", between):
                run.append(literal)
                continue
        if len(run) > 1:
            used.update(id(item) for item in run)
            words = [item.text for item in run]
            dispatch(ev, words, "")
            if "join" in code:
                run_shell(ev, "".join(words), None, "", f"{language} runs a shell")
            if "-c" not in words:
                dispatch(ev, words[1:], "")
        run = [literal] if literal is not None and literal.end else []
    listed = {literal.text for literal in literals if id(literal) in used}
    for words in _word_lists(code):
        dispatch(ev, words, "")
    whole = [_completed(code, literal) for literal in literals if literal.end and id(literal) not in used]
    for value in dict.fromkeys([*whole, *texts]):
        if value not in listed and len(value) > 2 and _worth_a_look(ev, value):
            run_shell(ev, value, None, "", f"{language} runs a shell")


def _completed(code: str, literal: _Literal) -> str:
    """Return a literal with unknown text where the program adds or formats something."""
    after = code[literal.end : literal.end + 40].lstrip()
    before = code[max(0, literal.start - 40) : literal.start].rstrip("fFrRbB \n\t")
    value = literal.text
    if after[:1] == "%" or after.startswith(".format") or "%s" in value:
        value = re.sub(r"%[sdr]|\{\w*\}", UNKNOWN, value)
    if after[:1] in ("+", ".") and after[1:2] not in ("f", "s", "e"):
        value += UNKNOWN
    if before[-1:] in ("+", ".") and literal.start:
        value = UNKNOWN + value
    return value


def _word_lists(code: str) -> list[list[str]]:
    """Return the lists of words that Perl writes ``qw(…)`` and Ruby ``%w[…]``."""
    found = ["".join((*groups[:4], groups[5])).split() for groups in _WORDS.findall(code)]
    return [words for words in found if words]


def _hands_on(literals: list[_Literal]) -> bool:
    """Say whether a function that unlinks is named by a string, to be called by another."""
    return any(literal.text in ("unlink", "rmdir") for literal in literals)


def _worth_a_look(ev: Evaluator, value: str) -> bool:
    return smell.of(value, ev.policy) != "" or any(c in value for c in "$`|;&\\") or " " in value


def _refuse_files(ev: Evaluator, code: str, skeleton: str, texts: list[str], language: str) -> None:
    if not _OPENS.search(skeleton) and language != "awk":
        return
    if _DOTENV.search(code):
        raise Refused(ENV_FILE, "a program loads .env")
    words = [*texts]
    for found in _word_lists(code):
        words += found
    if language == "awk" and not re.search(r"getline|system|\||>|<|ARGV|while|-f", skeleton):
        return
    globbing = re.search(r"glob|Dir\b|find|match", skeleton, re.IGNORECASE) is not None
    for value in words:
        if len(value) > 4096:
            continue
        if mentions_protected(value, ev.policy):
            raise Refused(ENV_FILE, f"a program would open {plain(value)[:80]}")
        if globbing and "*" in value and names_protected(activate(value), ev.policy) and is_literal(value):
            raise Refused(ENV_FILE, f"a program would open what matches {plain(value)[:80]}")
