"""Which words name a protected file."""

from __future__ import annotations

from utils.guard.marks import ANY, CLASS, DEEP, STAR, activate, is_known, matches

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from utils.guard.policy import Policy

_BETWEEN = ("=", ":", "@", ",", ";", "|", "<", ">", "(", ")", "{", "}", '"', "'", "`", "\\", "&")
_REMOTE = ("http://", "https://", "ftp://", "git://", "s3://", "gs://")


def names_protected(path: str, policy: Policy, *, dot_ok: bool = False) -> bool:
    """Say whether `path`, a word in marks, names a file that `policy` protects.

    dot_ok: a leading wildcard matches a leading dot too, as in find, ripgrep and the Glob tool.
    """
    if path.isascii():
        low = path.lower()
        for core in policy.cores():
            if core in low:
                break
        else:
            return False
    base = _base(path)
    if not base:
        return False
    if base.isascii():
        return _name_is_protected(base, path, policy)
    if not is_known(base):
        variants = [_filled(base, filling) for filling in ("", ".", "/", "x")]
        return any(names_protected(variant, policy, dot_ok=dot_ok) for variant in variants if variant)
    if STAR in base or ANY in base or CLASS in base or DEEP in base:
        if base[0] in (STAR, ANY, DEEP):
            if not dot_ok and DEEP not in path:
                return False
            if not any(core in base for core in policy.cores()):
                return False  # a pattern for everything names nothing
        if any(base.endswith(suffix) for suffix in policy.templates):
            return False
        return any(matches(base, name) for name in policy.samples())
    return _name_is_protected(base, path, policy)


def _base(path: str) -> str:
    """Return the last component of `path`, in lower case as some file systems compare it."""
    if "\\" in path:
        path = path.replace("\\", "/")
    path = path.strip(" \t\r\n\x0b\x0c\x00\"'").rstrip("/")
    if path.endswith("/.") or "/.." in path:
        parts: list[str] = []
        for part in path.split("/"):
            if part == ".." and parts:
                parts.pop()
            elif part not in (".", ""):
                parts.append(part)
        path = "/".join(parts)
    return path.rpartition("/")[2].lower()


def _name_is_protected(base: str, path: str, policy: Policy) -> bool:
    if len(base) > 1 and base[-1] in "~#":
        base = base.rstrip("~#")
    if base.endswith((".swp", ".swo")) or base.startswith((".#", "#")):  # an editor's copies
        base = base.removesuffix(".swp").removesuffix(".swo").removeprefix(".#").removeprefix("#")
        base = base[1:] if base.startswith("..") else base
    for pattern in policy.patterns:
        low = pattern.lower()
        if "/" in low:
            goal = low if low.startswith("/") else "**/" + low
            if matches(activate(goal), "/" + path.lower().lstrip("/")) and not policy.is_template(base):
                return True
            continue
        if "*" not in low and "?" not in low and "[" not in low:
            if base == low:
                return not policy.is_template(base)
        elif low.endswith(".*") and low.count("*") == 1 and "?" not in low and "[" not in low:
            if base.startswith(low[:-1]) and not policy.is_template(base):
                return True
        elif matches(activate(low), base) and not policy.is_template(base):
            return True
    return False


def _filled(base: str, filling: str) -> str:
    return "".join(filling if c >= "\U000f0000" else c for c in base)


def mentions_protected(word: str, policy: Policy, *, dot_ok: bool = False) -> bool:
    """Say whether `word`, or a part of it after ``=``, ``:``, ``@`` or the like, names a protected file.

    A word with blanks in it is text; only as a whole can it name a file.
    """
    if word.lower().startswith(_REMOTE):
        return False
    if names_protected(word, policy, dot_ok=dot_ok):
        return " " not in word or _is_one_path(word)
    if " " in word or "\n" in word or "\t" in word:
        return False
    if word[:1] == "-" and len(word) > 2 and word[1] != "-":  # an option with its value attached: -f.env
        rest = word[2:].lstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
        if rest and rest != word and names_protected(rest, policy, dot_ok=dot_ok):
            return True
    if not any(mark in word for mark in _BETWEEN):
        return False
    for mark in _BETWEEN:
        word = word.replace(mark, " ")
    return any(names_protected(piece, policy, dot_ok=dot_ok) for piece in word.split(" ") if piece)


def _is_one_path(word: str) -> bool:
    """Tell ``my dir/.env`` from a sentence that ends in the file's name."""
    head, _, tail = word.rpartition("/")
    return (
        " " not in tail.strip() and (head != "" or word.strip().count(" ") == 0) and "\n" not in word.strip()
    )
