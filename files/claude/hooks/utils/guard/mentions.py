"""Files that a prompt mentions with ``@``: Claude Code reads them itself, by no tool."""

from __future__ import annotations

from utils.guard.envfiles import names_protected
from utils.guard.marks import clean
from utils.guard.verdict import ENV_FILE, GUARD_ERROR, OF_PROMPTS, Refused, Verdict, line

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from utils.guard.policy import Policy

MOST_LINKS = 1_000  # mentions whose symbolic links are looked up; Claude Code reads fewer
_BEFORE = "\u3002\u3001\uff1f\uff01"  # punctuation after which Claude Code sees a mention, as after a blank
_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")


def decide_prompt(prompt: object, cwd: str, policy: Policy) -> Verdict:
    """Return the verdict on a prompt that was entered in the directory `cwd`; never raises."""
    try:
        if not isinstance(prompt, str):
            raise Refused(GUARD_ERROR, "the prompt is not a text")
        if "@" in prompt:
            _judge([clean(path) for path in mentions(prompt)], cwd, policy)
    except Refused as refused:
        return Verdict(refused.reason, line(refused.what), OF_PROMPTS[refused.reason])
    except Exception as error:
        what = f"the guard failed ({type(error).__name__}: {error})"
        return Verdict(GUARD_ERROR, line(what), OF_PROMPTS[GUARD_ERROR])
    return Verdict()


def mentions(prompt: str) -> list[str]:
    """Return the paths that Claude Code would take from `prompt`, as they stand there, each once.

    A mention begins the prompt or a word: ``@path`` up to the word's last letter or digit, or
    ``@"path with blanks"``; what follows a ``#`` (``#L1-20``) is no part of the path.
    """
    found = []
    text = prompt.replace("\ufeff", " ")  # a blank to the client, not to Python
    place = text.find('@"')
    while place >= 0:
        end = text.find('"', place + 2)
        if end < 0:
            break
        if _begins(text, place):
            found.append(text[place + 2 : end])
        place = text.find('@"', place + 2)
    for word in text.split():
        if "@" not in word or word.startswith('@"'):
            continue
        end = len(word)
        while end and word[end - 1] not in _WORD:
            end -= 1
        found += [word[at + 1 : end] for at in range(end) if word[at] == "@" and _begins(word, at)]
    paths = [path for whole in found for path in (whole, whole.partition("#")[0])]
    return [path for path in dict.fromkeys(paths) if path]


def _begins(text: str, place: int) -> bool:
    return place == 0 or text[place - 1].isspace() or text[place - 1] in _BEFORE


def _judge(paths: list[str], cwd: str, policy: Policy) -> None:
    """Refuse if one of `paths` is protected, by its own name or by the one a link leads to."""
    for path in paths:
        if names_protected(path, policy):
            raise Refused(ENV_FILE, f"the prompt mentions @{path[:100]}, and Claude Code would read it")
    from utils.guard.tools import leads_to_protected

    for path in paths[:MOST_LINKS]:
        where = policy.home + path[1:] if path == "~" or path.startswith("~/") else path
        if leads_to_protected(where, cwd, policy):
            raise Refused(ENV_FILE, f"the prompt mentions @{path[:100]}, which leads to a protected file")
