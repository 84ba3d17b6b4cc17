"""Characters that stand, inside an evaluated word, for what is not literal text.

They are private-use code points; `clean` takes them out of any input first, so none can be forged.
"""

from __future__ import annotations

STAR = "\ue001"  # an active *
ANY = "\ue002"  # an active ?
CLASS = "\ue003"  # the active [ of a bracket expression, which ends at the next ]
DEEP = "\ue004"  # any path below: what find, ** and recursive listings yield
UNKNOWN = "\U000f0000"  # text that cannot be known
UNKNOWN_RM = "\U000f0001"  # unknown text made from what smells of deletion
UNKNOWN_ENV = "\U000f0002"  # unknown text made from what names a protected file
PLACE = 0xE100  # from here: places of other parts within a word
GLOBS = (STAR, ANY, CLASS, DEEP)


def clean(text: str) -> str:
    """Return `text` without any of the marks."""
    if text.isascii():
        return text
    return "".join("\ufffd" if "\ue000" <= c <= "\uf8ff" or c >= UNKNOWN else c for c in text)


def is_known(text: str) -> bool:
    """Say whether `text` holds no unknown part (globs are known)."""
    return text.isascii() or max(text, default="") < UNKNOWN


def is_literal(text: str) -> bool:
    """Say whether `text` is neither unknown nor a glob."""
    return text.isascii() or not any(c >= UNKNOWN or c in GLOBS for c in text)


def is_unknown(char: str) -> bool:
    """Say whether the one character `char` stands for unknown text."""
    return char >= UNKNOWN


def plain(text: str) -> str:
    """Return `text` with marks as a person would write them."""
    if text.isascii():
        return text
    shown = {STAR: "*", ANY: "?", CLASS: "[", DEEP: "**"}
    return "".join("<unknown>" if c >= UNKNOWN else shown.get(c, c) for c in text)


def activate(text: str) -> str:
    """Return `text` with its glob characters active."""
    if "*" in text:
        text = text.replace("**", DEEP).replace("*", STAR)
    return text.replace("?", ANY).replace("[", CLASS)


def matches(pattern: str, name: str) -> bool:
    """Say whether the glob `pattern`, in marks, matches all of `name`; an unknown part matches anything.

    Linear in the product of both lengths at worst, without recursion.
    """
    items = _items(pattern)
    i = j = 0
    star, resume = -1, 0
    while j < len(name):
        if i < len(items) and items[i] == STAR:
            star, resume = i, j
            i += 1
        elif i < len(items) and _fits(items[i], name[j]):
            i += 1
            j += 1
        elif star >= 0:
            resume += 1
            i, j = star + 1, resume
        else:
            return False
    return all(item == STAR for item in items[i:])


def _items(pattern: str) -> list[str]:
    items: list[str] = []
    i = 0
    while i < len(pattern):
        c = pattern[i]
        if c == CLASS:
            end = pattern.find("]", i + 2 + (pattern[i + 1 : i + 2] in "!^" and pattern[i + 1 : i + 2] != ""))
            if end > 0:
                items.append(pattern[i:end])
                i = end + 1
                continue
            c = "["
        elif c == DEEP or is_unknown(c):
            c = STAR
        items.append(c)
        i += 1
    return items


def _fits(item: str, char: str) -> bool:
    if item == ANY:
        return True
    if item[0] != CLASS:
        return item == char
    body = item[1:]
    negated = body[:1] in ("!", "^")
    body = body[negated:]
    if "[:" in body or "[=" in body or "[." in body:  # named classes: assume the worse
        return True
    hit = False
    i = 0
    while i < len(body):
        if i + 2 < len(body) and body[i + 1] == "-":
            hit = hit or body[i] <= char <= body[i + 2]
            i += 3
        else:
            hit = hit or body[i] == char
            i += 1
    return hit is not negated
