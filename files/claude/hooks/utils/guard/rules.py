"""Rules on text, for what cannot be parsed: no shfmt on the host, a syntax error, a command too long or deep.

They are stricter than the evaluator: quotes, escapes and simple assignments are taken out, and what then
looks like one of the two acts is refused, wherever it stands.
"""

from __future__ import annotations

import re

from utils.guard import smell
from utils.guard.envfiles import names_protected
from utils.guard.marks import activate, matches
from utils.guard.tables import ONLY_NAMES, SHELLS
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
_PROGRAM = re.compile(r"\b(?:rmtree|rimraf|rm_rf|remove_tree|rmSync|removeSync|removedirs)\b")
_STATEMENT = re.compile(r"[;&\n(){}`]+")
_DECODERS = frozenset(
    ("base64", "gbase64", "base32", "xxd", "rev", "tr", "openssl", "printf", "uudecode", "gunzip", "zcat")
)
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
    for text in dict.fromkeys(_readings(command)):
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
    if ("rm" in text or "remove" in text) and (smell.deletes(text.lower()) or _PROGRAM.search(text)):
        return True
    statements = dict.fromkeys(_STATEMENT.split(text))
    return any(_stages_delete(statement.split("|")) for statement in statements)


def _stages_delete(stages: list[str]) -> bool:
    """Say whether the stages of one pipe look like a deletion, or hide one in an encoding."""
    decodes = False
    for stage in stages:
        words = stage.split()
        if not words:
            continue
        program = words[0].rpartition("/")[2].strip("\"'")
        options = [word for word in words[1:] if word[:1] == "-"]
        recursive = any((o[1:2] != "-" and "r" in o.lower()) or o.startswith("--r") for o in options)
        forced = any((o[1:2] != "-" and "f" in o) or o.startswith("--f") for o in options)
        if decodes and program in SHELLS:
            return True
        decodes = decodes or (program in _DECODERS) or (program == "echo" and "-e" in options)
        if program == "find" and ("-delete" in words or _hands_to_rm(words)):
            return True
        if program in ("xargs", "parallel") and recursive and "rm" in words:
            return True
        if recursive and forced and (program[:1] == "$" or _may_be_rm(program)):
            return True
    return False


def _hands_to_rm(words: list[str]) -> bool:
    return any(w.startswith(("-exec", "-ok")) for w in words) and any(
        w.rpartition("/")[2] in ("rm", "unlink") for w in words
    )


def _may_be_rm(program: str) -> bool:
    return any(c in program for c in "*?[") and len(program) < 64 and matches(activate(program), "rm")


def _opens(text: str, policy: Policy) -> bool:
    for segment in dict.fromkeys(_SEGMENT.split(text)):
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
