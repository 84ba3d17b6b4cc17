"""The words of a command line: a program's name, and where its options end."""

from __future__ import annotations


def base_name(name: str) -> str:
    """Return the name by which a program is known: no directory, no .exe, lower case."""
    base = name.rpartition("/")[2].lower() if "/" in name else name.lower()
    if "\\" in base:
        base = base.rpartition("\\")[2]
    return base.removesuffix(".exe")


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
