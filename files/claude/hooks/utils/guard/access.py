"""Whether a program would open a protected file that its words name."""

from __future__ import annotations

import os

from utils.guard.argv import options_end
from utils.guard.envfiles import mentions_protected, names_protected
from utils.guard.marks import UNKNOWN_ENV, activate, plain
from utils.guard.tables import GIT_ONLY_NAMES, ONLY_NAMES, PATTERN_FIRST, PATTERN_VALUES, TEXT_OPTIONS
from utils.guard.verdict import ENV_FILE, Refused

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from utils.guard.evaluator import Evaluator

_READERS_OF_LINKS = 64  # arguments whose symbolic links are looked up


def opens(ev: Evaluator, base: str, argv: list[str]) -> None:
    """Refuse the program `base` if it would open a protected file that its arguments name."""
    if base in ONLY_NAMES or (base == "git" and _git_only_names(argv)):
        return
    gives, files = PATTERN_FIRST.get(base, ((), ()))
    pattern_due = base in PATTERN_FIRST and not any(_gives(word, (*gives, *files)) for word in argv[1:])
    texts = (*gives, "-t") if base == "gh" else gives
    skip = valued = False
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
            valued = pattern_due and word in PATTERN_VALUES
        elif valued:
            valued = False
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
