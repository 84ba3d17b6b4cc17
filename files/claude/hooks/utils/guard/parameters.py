"""Parameter expansion: ``$x``, ``"$@"``, ``${x:-y}``, ``${x/a/b}``, ``${x:1:2}``, ``${!x}`` and the rest."""

from __future__ import annotations

from utils.guard.marks import UNKNOWN, activate, is_known, matches
from utils.guard.words import MOST, text, trimmed, unescape

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from typing import Any

    from utils.guard.evaluator import Evaluator

    Node = dict[str, Any]
    Fields = list[str]

_OPERATORS = (":-", ":=", ":?", ":+", "%%", "##", "^^", ",,", "-", "=", "?", "+", "%", "#", "^", ",", "@")


def expand(ev: Evaluator, node: Node, *, quoted: bool) -> list[Fields]:
    """Return the alternatives of a parameter expansion; each is one value, or several for ``@`` and ``*``."""
    name = (node.get("Param") or {}).get("Value", "")
    if node.get("Length") or node.get("Width"):
        return [[_length(ev, name)]]
    values, many = _values(ev, name, node, quoted=quoted)
    if node.get("Excl"):
        names = [value[0] for value in values if value is not None and len(value) == 1 and is_known(value[0])]
        if node.get("Names"):
            return [[UNKNOWN]]
        values = [[v] for other in names for v in ev.variable(other)] or [[UNKNOWN]]
    if node.get("Slice"):
        values = [
            None
            if value is None
            else _slice(ev, value, node["Slice"], many=many, positional=name in ("@", "*"))
            for value in values
        ]
    if node.get("Repl"):
        replaced: list[Fields | None] = []
        for value in values:
            replaced += [None] if value is None else _replaced(ev, value, node["Repl"])
        values = replaced
    if node.get("Exp"):
        values = _operated(ev, name, node, values)
    return [[""] if value is None and not many else value or [] for value in values][:MOST] or [[""]]


def _values(ev: Evaluator, name: str, node: Node, *, quoted: bool) -> tuple[list[Fields | None], bool]:
    """Return the parameter's values, None where it is unset, and whether they are lists."""
    if name in ("@", "*"):
        parameters = ev.state.parameters
        if parameters is None:
            return [[UNKNOWN]], True
        if name == "*" and quoted:
            return [[(ev.separators()[:1] or "").join(parameters)]], False
        return [list(parameters)], True
    if name.isdigit():
        parameters = ev.state.parameters
        if name == "0":
            return [[ev.state.script_name]], False
        if parameters is None:
            return [[UNKNOWN]], False
        place = int(name) - 1
        return [[parameters[place]] if place < len(parameters) else None], False
    if name in ("?", "$", "!", "#", "-", "_"):
        return [["0" if name != "_" else UNKNOWN]], False
    index = node.get("Index")
    stored = ev.raw(name)
    if index is not None:
        ev.run_nested(index)
        key = _index(ev, index)
        found: list[Fields | None] = []
        for value in stored:
            array = value if isinstance(value, list) else [value] if value is not None else []
            if key in ("@", "*"):
                found.append([" ".join(array)] if key == "*" and quoted else list(array))
            elif key.lstrip("-").isdigit():
                position = int(key)
                found.append([array[position]] if -len(array) <= position < len(array) else None)
            else:
                found += [[item] for item in array]
        if not stored:
            found = [[UNKNOWN]]
        return found or [None], key in ("@", "*")
    plain: list[Fields | None] = []
    for value in stored or [UNKNOWN]:
        if isinstance(value, list):
            plain.append(value[:1])
        else:
            plain.append(None if value is None else [value])
    return plain, False


def _index(ev: Evaluator, index: Node) -> str:
    if index.get("Type") == "Word" or "Parts" in index:
        return text(ev, index)[0]
    return ""


def _length(ev: Evaluator, name: str) -> str:
    values = ev.variable(name) if name not in ("@", "*") else [UNKNOWN]
    return str(len(values[0])) if len(values) == 1 and is_known(values[0]) else UNKNOWN


def _number(ev: Evaluator, node: Node | None) -> int | None:
    if not node:
        return None
    ev.run_nested(node)
    value = ev.arithmetic({"X": node})
    return int(value) if value.lstrip("-").isdigit() else None


def _slice(ev: Evaluator, value: Fields, node: Node, *, many: bool, positional: bool) -> Fields:
    offset = _number(ev, node.get("Offset"))
    length = _number(ev, node.get("Length"))
    if offset is None or (node.get("Length") and length is None):
        return [UNKNOWN]
    if many:
        items = value[max(offset - 1, 0) if positional else offset :]
        return items if length is None else items[:length]
    whole = value[0] if value else ""
    start = offset if offset >= 0 else max(len(whole) + offset, 0)
    if length is None:
        return [whole[start:]]
    return [whole[start : start + length] if length >= 0 else whole[start:length]]


def _replaced(ev: Evaluator, value: Fields, node: Node) -> list[Fields]:
    patterns = text(ev, node.get("Orig"))
    replacements = text(ev, node.get("With"))
    every = bool(node.get("All"))
    pairs = [(pattern, replacement) for pattern in patterns for replacement in replacements]
    return [[_substitute(item, old, new, every=every) for item in value] for old, new in pairs[:MOST]]


def _substitute(value: str, pattern: str, replacement: str, *, every: bool) -> str:
    if not is_known(value) or not is_known(pattern) or not pattern:
        return value
    glob = activate(pattern)
    if glob == pattern:
        return value.replace(pattern, replacement, -1 if every else 1)
    if len(value) > 200:
        return UNKNOWN
    out = ""
    at = 0
    while at < len(value):
        for end in range(len(value), at, -1):
            if matches(glob, value[at:end]):
                out += replacement
                at = end
                break
        else:
            out += value[at]
            at += 1
            continue
        if not every:
            break
    return out + value[at:]


def _operator(ev: Evaluator, node: Node) -> str:
    """Return the operator between the parameter's name and its word, from the source."""
    anchor = (node.get("Param") or {}).get("End") or (node.get("Param") or {}).get("ValueEnd") or {}
    at = anchor.get("Offset", 0)
    rest = ev.source[at : at + 400].decode("utf-8", "replace")
    if node.get("Index") is not None and rest.startswith("["):
        rest = rest[rest.find("]") + 1 :]
    for operator in _OPERATORS:
        if rest.startswith(operator):
            return operator
    return ""


def _operated(ev: Evaluator, name: str, node: Node, values: list[Fields | None]) -> list[Fields | None]:
    operator = _operator(ev, node)
    word = node["Exp"].get("Word")
    bare = operator.lstrip(":")
    results: list[Fields | None] = []
    if bare in ("-", "=", "?", "+"):
        words: list[Fields | None] = [[w] for w in text(ev, word)]
        for value in values:
            unset = value is None or (operator[0] == ":" and "".join(value) == "")
            unsure = value is not None and not all(is_known(item) for item in value)
            if bare == "+":
                results += ([[""]] if unset or unsure else []) + ([] if unset else words)
            elif bare == "?":
                results.append(value)
            else:
                results += ([] if unset else [value]) + (words if unset or unsure else [])
        if bare == "=":
            ev.assign(name, [(item or [""])[0] for item in results])
        return results[:MOST]
    for value in values:
        items = value or [""]
        if bare == "@":
            results.append([unescape(item) for item in items])
        elif bare in ("^", "^^", ",", ",,"):
            results.append([_cased(item, bare) for item in items])
        else:
            for pattern in text(ev, word):
                cut = [
                    trimmed(item, activate(pattern), suffix=bare[0] == "%", longest=len(bare) == 2)
                    if is_known(item) and len(item) < 5000
                    else item
                    for item in items
                ]
                results.append(cut)
    return results[:MOST]


def _cased(item: str, operator: str) -> str:
    if operator == "^^":
        return item.upper()
    if operator == ",,":
        return item.lower()
    return (item[:1].upper() if operator == "^" else item[:1].lower()) + item[1:]
