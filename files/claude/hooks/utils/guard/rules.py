"""Rules on text, for what cannot be parsed: no shfmt on the host, a syntax error, a command too long or deep.

They are stricter than the evaluator: quotes, escapes and simple assignments are taken out, and what then
looks like one of the two acts is refused, wherever it stands.
"""

from __future__ import annotations

import re

from utils.guard import smell
from utils.guard.envfiles import names_protected
from utils.guard.marks import activate
from utils.guard.tables import ONLY_NAMES
from utils.guard.verdict import ENV_FILE, RM_RF, Refused
from utils.guard.words import braces, unescape

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from utils.guard.evaluator import Evaluator
    from utils.guard.policy import Policy

_ANSI = re.compile(r"\$'((?:\\.|[^'\\])*)'", re.DOTALL)
_ASSIGNED = re.compile(r"(?:^|[\s;&|(])([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|[^\s;&|()<>]*)")
_USED = re.compile(r"\$(?:\{([A-Za-z_]\w*)[^}]*\}|([A-Za-z_]\w*))")
_DEFAULT = re.compile(r"\$\{[A-Za-z_]\w*:?[-=+?]([^}]*)\}")
_SEGMENT = re.compile(r"[;|&\n(){}`]+")
_FIND = re.compile(
    r"\bfind\b[^;|&\n]*?\s-delete\b|\bfind\b[^;|&\n]*-exec(?:dir)?\s+(?:\S+\s+)*?(?:\S*/)?(?:rm|unlink)\b"
)
_XARGS = re.compile(r"\b(?:xargs|parallel)\b[^;|&\n]*?\brm\b[^;|&\n]*-\w*r")
_PIPED = re.compile(
    r"(?:base64\s+(?:-d|--decode|-D)|xxd\s+-r|rev|tr\s|openssl\s+\w+\s+-d|printf\s|echo\s+-e)[^\n]*\|\s*(?:\S*/)?(?:ba|da|z|k|a)?sh\b"
)
_PROGRAM = re.compile(r"\b(?:rmtree|rimraf|rm_rf|remove_tree|rmSync|removeSync|removedirs)\b")
_VARIABLE_PROGRAM = re.compile(
    r"(?:^|[;|&(\n]\s*)\"?\$\{?\w+\}?\"?\s+[^;|&\n]*-(?:\w*r\w*f|\w*f\w*r|-recursive)"
)
_GLOBBED_PROGRAM = re.compile(r"(?:^|[;|&(\n]\s*)\S*(?:r\[m\]|\[r\]m|r\?|\?m|r\*)\s+-")
_LONGEST = 1 << 18


def refuse_by_text(command: str, ev: Evaluator) -> None:
    """Refuse `command` if its text looks like one of the two acts."""
    reason = verdict(command[:_LONGEST], ev.policy)
    if reason:
        why = "the command cannot be parsed, and its text looks like it"
        raise Refused(
            reason, why if ev.policy.shfmt else "shfmt is missing, so its text decides, and it looks like it"
        )


def verdict(command: str, policy: Policy) -> str:
    """Return the reason for which the text of `command` is refused, or nothing; linear in its length."""
    for text in _readings(command):
        if _deletes(text):
            return RM_RF
        if _opens(text, policy):
            return ENV_FILE
    return ""


def _readings(command: str) -> list[str]:
    """Return the command as it stands, and with quotes, escapes and assignments resolved."""
    text = command.replace("\\\n", "")
    text = _ANSI.sub(lambda match: unescape(match[1]), text)
    text = text.replace("${IFS}", " ").replace("$IFS", " ")
    values = {name: value.strip("\"'") for name, value in _ASSIGNED.findall(text)}
    text = _DEFAULT.sub(lambda match: match[1], text)
    if values:
        text = _USED.sub(lambda match: values.get(match[1] or match[2], match[0]), text)
    bare = text.replace("'", "").replace('"', "").replace("\\", "")
    return [text, bare]


def _deletes(text: str) -> bool:
    if "rm" in text or "remove" in text:
        if smell.deletes(text.lower()):
            return True
        if _XARGS.search(text) or _PROGRAM.search(text):
            return True
    if "find" in text and _FIND.search(text):
        return True
    if "-" in text and (_VARIABLE_PROGRAM.search(text) or _GLOBBED_PROGRAM.search(text)):
        return True
    return "sh" in text and "|" in text and len(text) < 20_000 and _PIPED.search(text) is not None


def _opens(text: str, policy: Policy) -> bool:
    for segment in _SEGMENT.split(text):
        words = segment.replace("<", " < ").replace(">", " > ").split()
        if not words:
            continue
        program = words[0].rpartition("/")[2]
        redirected = "<" in words or ">" in words
        if program in ONLY_NAMES and not redirected:
            continue
        for word in words[1:]:
            pieces = braces(word.replace("$(", "")) if "{" in word and len(word) < 200 else [word]
            for piece in pieces:
                for part in (
                    piece.replace("=", " ").replace(":", " ").replace("@", " ").replace(",", " ").split()
                ):
                    if names_protected(activate(part) if any(c in part for c in "*?[") else part, policy):
                        return True
    return False
