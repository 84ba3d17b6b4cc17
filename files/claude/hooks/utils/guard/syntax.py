"""A command's syntax tree: by a lexer of our own for plain commands, by shfmt for all others.

Both give the nodes that ``shfmt --to-json`` prints. The lexer answers None for whatever it does not fully
understand, so that it never guesses; it saves everyday commands the cost of a process.
"""

from __future__ import annotations

import os

from utils.quickjson import loads

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from typing import Any

    Node = dict[str, Any]

MOST_WORDS = 1_500  # shfmt prints some 700 bytes for each; above that the text rule decides
MOST_STATEMENTS = 5_000
MOST_EXPANSIONS = 3_000
MOST_DEPTH = 48  # shfmt indents, so its output grows with the square of the depth
_RESERVED = frozenset(
    [
        "if",
        "then",
        "else",
        "elif",
        "fi",
        "for",
        "while",
        "until",
        "do",
        "done",
        "case",
        "esac",
        "select",
        "function",
        "time",
        "coproc",
        "in",
        "declare",
        "typeset",
        "local",
        "export",
        "readonly",
        "nameref",
        "let",
        "{",
        "}",
        "[[",
        "]]",
        "!",
        "((",
    ]
)
_ENDS = " \t\n;&|<>"
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./,:@%+=-^{}~*?[]!#")
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


class TooLargeError(Exception):
    """The command is too long, too deep or has too many steps to be followed in time."""


class Unparsable(Exception):  # noqa: N818 - a fact about the command, not a failure of ours
    """No syntax tree: the command is not valid, or there is no shfmt."""


def parse(command: str, shfmt: str) -> tuple[list[Node], bytes]:
    """Return the statements of `command` and the bytes that their offsets count.

    shfmt: the program's path, or empty when the host has none. Raises `TooLargeError`, `Unparsable`.
    """
    if "<<" not in command and sum(map(command.count, ";\n|&")) > MOST_STATEMENTS:
        raise TooLargeError
    if command.count("$") > MOST_EXPANSIONS:
        raise TooLargeError
    statements = lex(command)
    if statements is not None:
        return statements, b""
    if not shfmt:
        raise Unparsable
    if _words(command) > MOST_WORDS or _depth(command) > MOST_DEPTH:
        raise TooLargeError
    source = command.encode("utf-8", "surrogatepass")
    return _shfmt(source, shfmt), source


def _shfmt(source: bytes, shfmt: str) -> list[Node]:
    """Return the statements that shfmt finds in `source`."""
    theirs_in, ours_in = os.pipe()
    ours_out, theirs_out = os.pipe()
    nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        child = os.posix_spawn(
            shfmt,
            ["shfmt", "-ln=bash", "--to-json"],
            {"GOGC": "off", "GOMAXPROCS": "1"},  # it lives for milliseconds: no collector, no threads
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs_in, 0),
                (os.POSIX_SPAWN_DUP2, theirs_out, 1),
                (os.POSIX_SPAWN_DUP2, nothing, 2),
            ],
        )
    except OSError as error:
        for descriptor in (theirs_in, ours_in, ours_out, theirs_out, nothing):
            os.close(descriptor)
        raise Unparsable from error
    for descriptor in (theirs_in, theirs_out, nothing):
        os.close(descriptor)
    try:
        rest = memoryview(source)
        while rest:
            rest = rest[os.write(ours_in, rest) :]
    except BrokenPipeError:
        pass  # its exit code says why
    os.close(ours_in)
    chunks = []
    while chunk := os.read(ours_out, 1 << 20):
        chunks.append(chunk)
    os.close(ours_out)
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise Unparsable
    tree = loads(b"".join(chunks))
    if not isinstance(tree, dict):
        raise Unparsable
    return list(tree.get("Stmts") or tree.get("StmtList", {}).get("Stmts") or [])


def _words(command: str) -> int:
    """Estimate how many nodes shfmt would print, here-documents counted by their expansions."""
    count = len(command.split()) + command.count(";") + 2 * command.count("$") + command.count("`")
    if count > MOST_WORDS and "<<" in command:
        count = 0
        closing = ""
        for line in command.split("\n"):
            if closing:
                if line.strip() == closing:
                    closing = ""
                count += line.count("$") + line.count("`")
                continue
            count += len(line.split()) + line.count(";") + line.count("$")
            _, found, after = line.rpartition("<<")
            if found and not after.startswith("<"):
                closing = after.lstrip("- \t").split(" ")[0].split("|")[0].split(">")[0].strip("'\"\\;)")
    return count


def _depth(command: str) -> int:
    if command.count("(") + command.count("{") + command.count("if ") + command.count("do ") <= MOST_DEPTH:
        return 0
    depth = deepest = 0
    for c in command:
        if c in "({":
            depth += 1
            deepest = max(deepest, depth)
        elif c in ")}" and depth:
            depth -= 1
    blocks = min(command.count("if "), command.count("fi")), min(command.count("do "), command.count("done"))
    return max(deepest, *(count // 4 for count in blocks))


def lex(command: str) -> list[Node] | None:
    """Return the statements of a plain command, or None when it needs a real parser.

    Plain are simple commands of literal, quoted and ``$name`` words, redirections to words, joined by
    ``;``, newlines, ``&&``, ``||``, ``|``, ``&``.
    """
    if "`" in command or "<<" in command or "(" in command or ")" in command:
        return None
    if not command.isascii() or "$'" in command or '$"' in command or "$[" in command or "\r" in command:
        return None
    tokens = _tokens(command)
    return None if tokens is None else _statements(tokens)


def _tokens(command: str) -> list[Node | str] | None:
    """Return words (as nodes) and operators (as text), or None."""
    tokens: list[Node | str] = []
    at, end, word_end = 0, len(command), -1
    while at < end:
        c = command[at]
        if c in " \t":
            at += 1
        elif c == "#":
            at = command.find("\n", at)
            if at < 0:
                break
        elif c in _ENDS:
            two = command[at : at + 2]
            if two in ("|&", ";;", ";&"):
                return None
            operator = two if two in ("&&", "||", ">>", ">|", "<>", ">&", "<&", "&>") else c
            at += len(operator)
            if operator == "&>" and command[at : at + 1] == ">":
                operator, at = "&>>", at + 1
            if c in "<>" and word_end == at - len(operator) and _is_number(tokens[-1]):
                tokens.pop()  # the descriptor that is redirected: 2>file
            tokens.append(operator)
        else:
            word, at = _word(command, at, end)
            if word is None:
                return None
            tokens.append(word)
            word_end = at
    return tokens


def _word(command: str, at: int, end: int) -> tuple[Node | None, int]:
    """Return the word that begins at `at` and where it ends; None for what is not plain."""
    parts: list[Node] = []
    start = at
    while at < end:
        c = command[at]
        if c in _PLAIN:
            at += 1
            continue
        if c == "\\":
            if at + 1 >= end or command[at + 1] == "\n":
                return None, at
            at += 2
            continue
        if c in _ENDS:
            break
        if start < at:
            parts.append({"Type": "Lit", "Value": command[start:at]})
        if c == "'":
            close = command.find("'", at + 1)
            if close < 0:
                return None, at
            parts.append({"Type": "SglQuoted", "Value": command[at + 1 : close]})
            at = close + 1
        elif c == '"':
            quoted, at = _quoted(command, at + 1, end)
            if quoted is None:
                return None, at
            parts.append(quoted)
        elif c == "$":
            expansion, at = _dollar(command, at)
            if expansion is None:
                return None, at
            parts.append(expansion)
        else:
            return None, at
        start = at
    if start < at:
        parts.append({"Type": "Lit", "Value": command[start:at]})
    return {"Parts": parts}, at


def _quoted(command: str, at: int, end: int) -> tuple[Node | None, int]:
    parts: list[Node] = []
    start = at
    while at < end:
        c = command[at]
        if c == "\\":
            at += 2
        elif c == '"':
            if start < at:
                parts.append({"Type": "Lit", "Value": command[start:at]})
            return {"Type": "DblQuoted", "Parts": parts}, at + 1
        elif c == "$":
            if start < at:
                parts.append({"Type": "Lit", "Value": command[start:at]})
            expansion, at = _dollar(command, at)
            if expansion is None:
                return None, at
            parts.append(expansion)
            start = at
        else:
            at += 1
    return None, at


def _dollar(command: str, at: int) -> tuple[Node | None, int]:
    """Return ``$name`` or ``${name}``; a lone dollar is literal before a blank or a quote's end."""
    following = command[at + 1 : at + 2]
    braced = following == "{"
    first = at + 2 if braced else at + 1
    last = first
    while command[last : last + 1] in _NAME and last < len(command):
        last += 1
    name = command[first:last]
    if not name or (name[0].isdigit() and (len(name) > 1 or braced)):
        return None, at
    if braced:
        if command[last : last + 1] != "}":
            return None, at
        last += 1
    return {"Type": "ParamExp", "Short": not braced, "Param": {"Value": name}}, last


def _statements(tokens: list[Node | str]) -> list[Node] | None:
    """Group words and operators into statements."""
    statements: list[Node] = []
    chain: list[tuple[str, Node]] = []  # of one and-or list
    pipe: list[Node] = []
    words: list[Node] = []
    redirections: list[Node] = []
    joint = ""
    at = 0
    tokens.append("\n")
    while at < len(tokens):
        item = tokens[at]
        at += 1
        if not isinstance(item, str):
            words.append(item)
            continue
        if item[0] in "<>" or item[:2] == "&>":
            target = tokens[at] if at < len(tokens) else ""
            if isinstance(target, str):
                return None
            at += 1
            redirections.append({"op": item, "Word": target})
            continue
        if words or redirections:
            call = _call(words, redirections)
            if call is None:
                return None
            pipe.append(call)
            words, redirections = [], []
        elif item == "\n":
            continue  # an empty line, or one after an operator
        else:
            return None
        if item == "|":
            continue
        chain.append((joint, pipe[0] if len(pipe) == 1 else {"Cmd": {"Type": "Pipeline", "stages": pipe}}))
        pipe = []
        if item in ("&&", "||"):
            joint = item
            continue
        statements.append(chain[0][1] if len(chain) == 1 else {"Cmd": {"Type": "AndOr", "items": chain}})
        chain, joint = [], ""
    return None if chain or pipe else statements


def _is_number(word: Node | str) -> bool:
    if isinstance(word, str):
        return False
    parts = word["Parts"]
    return len(parts) == 1 and parts[0]["Type"] == "Lit" and str(parts[0]["Value"]).isdigit()


def _call(words: list[Node], redirections: list[Node]) -> Node | None:
    assigns: list[Node] = []
    index = 0
    for index, word in enumerate(words):  # noqa: B007 - where it stopped matters
        parts = word["Parts"]
        text = str(parts[0].get("Value", "")) if parts and parts[0]["Type"] == "Lit" else ""
        name, equals, rest = text.partition("=")
        if not equals or not name or not set(name.rstrip("+")) <= _NAME or name[0].isdigit():
            if equals and ("[" in name or name.endswith("+")):
                return None
            break
        if "\\" in name or name.endswith("+"):
            return None
        value = ([{"Type": "Lit", "Value": rest}] if rest else []) + parts[1:]
        assigns.append({"Name": {"Value": name}, "Value": {"Parts": value} if value else None})
    else:
        index = len(words)
    arguments = words[index:]
    if arguments:
        parts = arguments[0]["Parts"]
        if parts and parts[0]["Type"] == "Lit" and parts[0]["Value"] in _RESERVED:
            return None
        for word in arguments:
            if word["Parts"] and word["Parts"][0].get("Value") in ("{", "}", "]]"):
                return None
    return {"Cmd": {"Type": "CallExpr", "Assigns": assigns, "Args": arguments}, "Redirs": redirections}
