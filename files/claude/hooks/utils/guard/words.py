"""What a word of the shell can become: its alternatives, each a list of fields in marks."""

from __future__ import annotations

from utils.guard.marks import PLACE, STAR, UNKNOWN, activate, matches
from utils.guard.syntax import TooLargeError

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from typing import Any

    from utils.guard.evaluator import Evaluator

    Node = dict[str, Any]
    Fields = list[str]

MOST = 12  # alternatives of a word that are followed; more become unknown
MOST_BRACES = 200
LONGEST = 1 << 19  # characters of one word
_SPECIAL = frozenset("\\{~*?[")
_TILDE_ENDS = ("", "/", ":")


def fields(ev: Evaluator, word: Node) -> list[Fields]:
    """Return the alternatives of `word` as an argument: braces, tilde, expansions, splitting, globs."""
    parts = word.get("Parts") or []
    if len(parts) == 1:
        only = parts[0]
        if only["Type"] == "Lit":
            value = only["Value"]
            if _SPECIAL.isdisjoint(value):
                return [[value]]
        elif only["Type"] == "SglQuoted" and not only.get("Dollar"):
            return [[only.get("Value", "")]]
    template, nodes = _template(parts)
    results: list[Fields] = [[]]
    for variant in braces(template):
        found = _assemble(ev, variant, nodes, splitting=True)
        results = [old + new for old in results for new in found]
        if len(results) > MOST:
            results = [*results[: MOST - 1], [field for result in results for field in result]]
    return results


def text(ev: Evaluator, word: Node | None) -> list[str]:
    """Return the alternatives of `word` where it is one field: assignments, redirections, here-strings."""
    if not word:
        return [""]
    template, nodes = _template(word.get("Parts") or [])
    found = _assemble(ev, template, nodes, splitting=False)
    return unique([" ".join(alternative) for alternative in found])


def unique(values: list[str]) -> list[str]:
    """Return `values` without repetitions, no more than are followed."""
    kept = list(dict.fromkeys(values))
    if len(kept) > MOST:
        return [*kept[: MOST - 1], UNKNOWN]
    return kept


def _template(parts: list[Node]) -> tuple[str, list[Node | str]]:
    """Return the word's unquoted literal text with placeholders, and what stands in their places.

    A string in a place is quoted literal text.
    """
    pieces: list[str] = []
    nodes: list[Node | str] = []

    def place(item: Node | str) -> None:
        pieces.append(chr(PLACE + min(len(nodes), 0x17FF)))
        nodes.append(item)

    for part in parts:
        kind = part["Type"]
        if kind == "Lit":
            value = part.get("Value", "")
            if "\\" not in value:
                pieces.append(value)
                continue
            at = 0
            while at < len(value):
                if value[at] == "\\" and at + 1 < len(value):
                    if value[at + 1] != "\n":
                        place(value[at + 1])
                    at += 2
                else:
                    pieces.append(value[at])
                    at += 1
        elif kind == "SglQuoted":
            value = part.get("Value", "")
            place(unescape(value) if part.get("Dollar") else value)
        else:
            place(part)
    return "".join(pieces), nodes


def braces(template: str) -> list[str]:
    """Return what brace expansion makes of `template`."""
    if "{" not in template or "}" not in template or ("," not in template and ".." not in template):
        return [template]
    if template.count("{") > 64:
        raise TooLargeError
    results = [""]
    at = 0
    while at < len(template):
        c = template[at]
        options = None
        if c == "{":
            end, commas = _closing(template, at)
            if end:
                options = _options(template, at, end, commas)
        if options is None:
            results = [result + c for result in results]
            at += 1
            continue
        results = [result + option for result in results for option in options]
        if len(results) > MOST_BRACES:
            return [*results[:MOST_BRACES], UNKNOWN]
        at = end + 1
    return results


def _closing(template: str, at: int) -> tuple[int, list[int]]:
    """Return where the brace at `at` closes (0: nowhere) and its own commas."""
    depth = 0
    commas: list[int] = []
    for index in range(at, len(template)):
        c = template[index]
        if c == "{":
            depth += 1
        elif c == "}":
            depth -= 1
            if depth == 0:
                return index, commas
        elif c == "," and depth == 1:
            commas.append(index)
    return 0, []


def _options(template: str, at: int, end: int, commas: list[int]) -> list[str] | None:
    if commas:
        edges = [at, *commas, end]
        options: list[str] = []
        for number, right in enumerate(edges[1:]):
            options += braces(template[edges[number] + 1 : right])
        return options
    first, dots, rest = template[at + 1 : end].partition("..")
    last, _, step = rest.partition("..")
    if not dots or not first or not last:
        return None
    try:
        low, high, by = int(first), int(last), abs(int(step or "1")) or 1
        numbers = range(low, high + 1, by) if low <= high else range(low, high - 1, -by)
        width = max(len(first), len(last)) if first[0] == "0" or last[0] == "0" else 0
        return [str(number).zfill(width) for number in numbers[:MOST_BRACES]]
    except ValueError:
        if len(first) == 1 and len(last) == 1 and first.isascii() and last.isascii():
            a, b = ord(first), ord(last)
            return [chr(code) for code in (range(a, b + 1) if a <= b else range(a, b - 1, -1))]
    return None


class _Partial:
    """A word in the making: the fields that are complete, and the open one."""

    __slots__ = ("done", "open", "solid")

    def __init__(self, done: Fields, current: str, *, solid: bool) -> None:
        self.done = done
        self.open = current
        self.solid = solid  # the open field exists even when it is empty

    def add(self, value: str) -> _Partial:
        if len(self.open) > LONGEST:
            raise TooLargeError
        return _Partial(self.done, self.open + value, solid=True)

    def split(self, value: str, separators: str) -> _Partial:
        """Add an unquoted value, which splits into fields."""
        if not value:
            return self
        for separator in separators:
            value = value.replace(separator, "\x00")
        pieces = value.split("\x00")
        done, current, solid = list(self.done), self.open, self.solid
        for index, piece in enumerate(pieces):
            if index and (solid or current):
                done.append(current)
                current, solid = "", False
            if piece:
                current += activate(piece)
                solid = True
        return _Partial(done, current, solid=solid)

    def several(self, values: Fields) -> _Partial:
        """Add the fields of ``"$@"``."""
        if not values:
            return self
        done = [*self.done, self.open + values[0], *values[1:]]
        return _Partial(done[:-1], done[-1], solid=True)

    def finish(self) -> Fields:
        return [*self.done, self.open] if self.solid or self.open else list(self.done)


def _assemble(ev: Evaluator, template: str, nodes: list[Node | str], *, splitting: bool) -> list[Fields]:
    """Return the alternatives of one brace-expanded template."""
    partials = [_Partial([], "", solid=False)]
    start = 0
    if template.startswith("~"):
        home, start = _tilde(ev, template)
        partials = [partial.add(value) for partial in partials for value in home]
    run = start
    for at in range(start, len(template) + 1):
        code = ord(template[at]) - PLACE if at < len(template) else 0
        if at < len(template) and not 0 <= code <= 0x17FF:
            continue
        if run < at:
            literal = template[run:at]
            if splitting:
                literal = activate(literal)
            elif ":~" in literal or "=~" in literal:
                literal = literal.replace(":~/", f":{ev.home()}/").replace("=~/", f"={ev.home()}/")
            partials = [partial.add(literal) for partial in partials]
        run = at + 1
        if at < len(template):
            partials = _with_part(ev, partials, nodes[code], splitting=splitting)
            if len(partials) > MOST:
                partials = [*partials[: MOST - 1], partials[0].add(UNKNOWN)]
    return [partial.finish() for partial in partials]


def _tilde(ev: Evaluator, template: str) -> tuple[list[str], int]:
    end = 1
    while end < len(template) and template[end] not in "/:" and ord(template[end]) < PLACE:
        end += 1
    user = template[1:end]
    if end < len(template) and ord(template[end]) >= PLACE:
        return ["~"], 1
    if user == "":
        return ev.variable("HOME"), end
    if user == "+":
        return list(ev.state.cwd), end
    if user == "-":
        return ev.variable("OLDPWD"), end
    return ["/root" if user == "root" else f"/home/{user}"], end


def _with_part(
    ev: Evaluator, partials: list[_Partial], node: Node | str, *, splitting: bool
) -> list[_Partial]:
    if isinstance(node, str):
        return [partial.add(node) for partial in partials]
    kind = node["Type"]
    if kind == "DblQuoted":
        for part in node.get("Parts") or []:
            if part["Type"] == "Lit":
                value = _double(part.get("Value", ""))
                partials = [partial.add(value) for partial in partials]
            else:
                partials = _expansion(ev, partials, part, quoted=True)
            if len(partials) > MOST:
                partials = [*partials[: MOST - 1], partials[0].add(UNKNOWN)]
        return [_Partial(p.done, p.open, solid=p.solid or not _is_list(node)) for p in partials]
    return _expansion(ev, partials, node, quoted=not splitting)


def _is_list(node: Node) -> bool:
    """Say whether a quoted word is nothing but ``"$@"``, which may be no field at all."""
    parts = node.get("Parts") or []
    return len(parts) == 1 and parts[0]["Type"] == "ParamExp"


def _expansion(ev: Evaluator, partials: list[_Partial], node: Node, *, quoted: bool) -> list[_Partial]:
    kind = node["Type"]
    if kind == "ParamExp":
        from utils.guard.parameters import expand

        values = expand(ev, node, quoted=quoted)
    elif kind == "CmdSubst":
        values = [[value] for value in ev.substitution(node)]
    elif kind == "ProcSubst":
        values = [[ev.process_substitution(node)]]
        quoted = True
    elif kind == "ArithmExp":
        ev.run_nested(node)
        values = [[ev.arithmetic(node)]]
    elif kind == "ExtGlob":
        pattern = (node.get("Pattern") or {}).get("Value", "")
        options = (
            [option for option in pattern.split("|") if option] if node_op(ev, node)[:1] in "@+?" else []
        )
        values = [[option] for option in options[: MOST - 1]] + [[STAR]]
    else:
        values = [[UNKNOWN]]
    separators = ev.separators() if not quoted else ""
    results = []
    for partial in partials:
        for value in values:
            if len(value) > 1 or not value:
                results.append(_many(partial, value, separators, quoted=quoted))
            elif quoted:
                results.append(partial.add(value[0]))
            else:
                results.append(partial.split(value[0], separators))
    return results


def _many(partial: _Partial, values: Fields, separators: str, *, quoted: bool) -> _Partial:
    if quoted:
        return partial.several(values)
    return partial.split(separators[:1].join(values) if separators else "".join(values), separators)


def node_op(ev: Evaluator, node: Node) -> str:
    """Return the source text at an operator's place; versions of shfmt number operators differently."""
    if "op" in node:
        return str(node["op"])
    offset = (node.get("OpPos") or {}).get("Offset", 0)
    return ev.source[offset : offset + 3].decode("utf-8", "replace")


def _double(value: str) -> str:
    """Return the text of a literal within double quotes."""
    if "\\" not in value:
        return value
    out: list[str] = []
    at = 0
    while at < len(value):
        c = value[at]
        if c == "\\" and at + 1 < len(value) and value[at + 1] in '$`"\\\n':
            if value[at + 1] != "\n":
                out.append(value[at + 1])
            at += 2
        else:
            out.append(c)
            at += 1
    return "".join(out)


_SIMPLE = {
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "E": "\x1b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}


def unescape(value: str, *, zero: bool = False) -> str:
    r"""Return what ``$'…'`` or, with `zero` (where octal reads ``\0nnn``), ``echo -e`` makes of `value`."""
    if "\\" not in value:
        return value
    out: list[str] = []
    at = 0
    while at < len(value):
        c = value[at]
        following = value[at + 1 : at + 2]
        at += 1
        if c != "\\" or not following:
            out.append(c)
            continue
        at += 1
        if following in _SIMPLE:
            out.append(_SIMPLE[following])
        elif following in "xuU":
            digits = _digits(value, at, {"x": 2, "u": 4, "U": 8}[following], "0123456789abcdefABCDEF")
            at += len(digits)
            code = int(digits, 16) if digits else 0
            out.append(chr(code) if 0 < code < 0x110000 else "" if digits else "\\" + following)
        elif following in "01234567":
            first = at - 1 if not (zero and following == "0") else at
            digits = _digits(value, first, 3, "01234567")
            at = first + len(digits)
            out.append(chr(int(digits or "0", 8) & 0xFF))
        elif following == "c":
            at += 1
        elif following in "\\'\"?":
            out.append(following)
        else:
            out.append("\\" + following)
    return "".join(out).replace("\x00", "")


def _digits(value: str, at: int, most: int, allowed: str) -> str:
    end = at
    while end < len(value) and end - at < most and value[end] in allowed:
        end += 1
    return value[at:end]


def trimmed(value: str, pattern: str, *, suffix: bool, longest: bool) -> str:
    """Return `value` without the prefix or suffix that the glob `pattern` (in marks) matches."""
    lengths = range(len(value) + 1)
    for length in reversed(lengths) if longest else lengths:
        cut = len(value) - length if suffix else length
        candidate = value[cut:] if suffix else value[:cut]
        if matches(pattern, candidate):
            return value[:cut] if suffix else value[cut:]
    return value
