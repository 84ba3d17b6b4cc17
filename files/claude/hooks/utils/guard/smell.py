"""Whether a text that cannot be followed smells of one of the two acts; no regular expressions, for speed."""

from __future__ import annotations

from utils.guard.envfiles import names_protected
from utils.guard.verdict import ENV_FILE, RM_RF

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from utils.guard.policy import Policy

_BREAKS = str.maketrans(dict.fromkeys("\"'`;|&(){}<>=,\n\t\r$:@[]", " "))
_DELETERS = (
    "rmtree",
    "rimraf",
    "rm_rf",
    "rm_r(",
    "remove_tree",
    "removedirs",
    "rmsync",
    "removesync",
    "deltree",
)


def of(text: str, policy: Policy) -> str:
    """Return the reason that `text` smells of, or nothing."""
    low = text.lower()
    if "rm" in low or "remove" in low or "deltree" in low:
        if any(word in low for word in _DELETERS):
            return RM_RF
        if deletes(low.replace("\\", "").replace("'", "").replace('"', "").replace(",", " ")):
            return RM_RF
    if text.isascii() and not any(core in low for core in policy.cores()):
        return ""
    for word in text.translate(_BREAKS).split():
        if names_protected(word, policy):
            return ENV_FILE
    return ""


def deletes(low: str) -> bool:
    """Say whether a word ``rm`` is followed by options with r and f."""
    words = low.replace(";", " ; ").replace("|", " | ").replace("&", " & ").replace("(", " ").split()
    for index, word in enumerate(words):
        if word != "rm" and not word.endswith(("/rm", "`rm", "=rm", "!rm")):
            continue
        recursive = forced = False
        for option in words[index + 1 : index + 12]:
            if option in (";", "|", "&"):
                break
            if option.startswith("--"):
                recursive = recursive or option.startswith("--r")
                forced = forced or option.startswith("--f")
            elif option.startswith("-"):
                recursive = recursive or "r" in option
                forced = forced or "f" in option
            if recursive and forced:
                return True
    return False
