"""PowerShell and cmd: conservative rules on text. They know no variables and no pipelines of objects."""

from __future__ import annotations

import re

from utils.guard.envfiles import mentions_protected
from utils.guard.verdict import ENV_FILE, RM_RF, Refused

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from utils.guard.evaluator import Evaluator

_REMOVES = re.compile(
    r"(?:^|[\s;|&({`\"'])(?:remove-item|ri|rm|rmdir|rd|del|erase)\b[^;|\n]*?\s(?:-r(?:e(?:c(?:u(?:r(?:s(?:e)?)?)?)?)?)?\b|/s\b)",
    re.IGNORECASE,
)
_METHODS = re.compile(
    r"\[(?:system\.)?io\.directory\]::delete|\.delete\(\s*\$true|get-childitem[^;\n]*\|\s*(?:remove-item|ri|del)\b|-encodedcommand\b|\s-e(?:nc?)?\s+[a-z0-9+/=]{16,}",
    re.IGNORECASE,
)
_SHELL_RM = re.compile(r"\brm\s+(?:-\w*r\w*f|-\w*f\w*r)", re.IGNORECASE)
_TARGETS = re.compile(r"-(?:literal)?path\s+(\S+)", re.IGNORECASE)
_ONLY_NAMES = re.compile(
    r"^\s*(?:test-path|get-item|get-childitem|gci|ls|dir|write-host|write-output|echo)\b[^|;>]*$",
    re.IGNORECASE,
)
_BREAKS = re.compile(r"[\s;|&(){}<>,\"'`]+")


def refuse(text: str, ev: Evaluator) -> None:
    """Refuse a PowerShell or cmd command line that looks like one of the two acts."""
    bare = text.replace("`", "").replace("^", "")
    removes = _REMOVES.search(bare) or _METHODS.search(bare) or _SHELL_RM.search(bare)
    if removes and (ev.policy.mode == "strict" or not _is_inside(bare, ev)):
        raise Refused(RM_RF, "PowerShell text that removes recursively")
    for segment in re.split(r"[;\n]|&&|\|\|", bare.replace("'+'", "").replace('"+"', "")):
        if _ONLY_NAMES.match(segment):
            continue
        for word in _BREAKS.split(segment):
            if word and mentions_protected(word, ev.policy):
                raise Refused(ENV_FILE, f"PowerShell text that would open {word[:80]}")


def _is_inside(text: str, ev: Evaluator) -> bool:
    """Say whether the one thing removed is a plain relative name below the project."""
    if _METHODS.search(text) or any(c in text for c in "$|;&*()%"):
        return False
    words = [word.strip("\"'") for word in text.replace(",", " ").split()]
    operands = [w for w in words[1:] if w[:1] != "-" and w.lower() not in ("/s", "/q", "/c", "remove-item")]
    operands = [
        w for w in operands if w.lower() not in ("rd", "rmdir", "del", "rm", "ri", "stop", "silentlycontinue")
    ]
    if not operands or any(":" in w for w in operands):
        return False
    return all(not ev.ground().objection(w.replace("\\", "/"), ev.state.cwd[0]) for w in operands)
