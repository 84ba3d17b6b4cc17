"""What the guard answers, and the exception by which any depth of it refuses."""

from __future__ import annotations

RM_RF = "rm_rf"
ENV_FILE = "env_file"
OWN_RULE = "own_rule"
GUARD_ERROR = "guard_error"


class Verdict:
    """One decision.

    reason: empty when the call may run, else one of the reasons above. what: the refused act, one line.
    instead: what the model should do. trail: how the guard came to it, outermost first.
    """

    __slots__ = ("instead", "reason", "trail", "what")

    def __init__(
        self, reason: str = "", what: str = "", instead: str = "", trail: tuple[str, ...] = ()
    ) -> None:
        self.reason = reason
        self.what = what
        self.instead = instead
        self.trail = trail

    def text(self) -> str:
        """Return the two lines that the model reads."""
        return f"Blocked ({self.reason}): {self.what}\n{self.instead}\n"


class Refused(Exception):  # noqa: N818 - a decision, not an error
    """Ends an evaluation with a refusal."""

    def __init__(self, reason: str, what: str) -> None:
        super().__init__(what)
        self.reason = reason
        self.what = what
        self.trail: tuple[str, ...] = ()

    def came_by(self, trail: list[str]) -> None:
        """Keep the deepest trail: what unwinds knows less."""
        self.trail = self.trail or tuple(trail)


INSTEAD = {
    RM_RF: (
        "Instead: name each target literally, strictly inside the project or under /tmp (rm -rf ./build), "
        "or ask the user to run it."
    ),
    ENV_FILE: (
        "Instead: read or write a template such as .env.example, or ask the user for the one value you need; "
        "do not try another way to the file."
    ),
    OWN_RULE: "Instead: do it in a way this host's policy allows, or ask the user.",
    GUARD_ERROR: (
        "Instead: make the call shorter or simpler; if it stays blocked, tell the user that the guard failed."
    ),
}
# A refused prompt is read by the person who wrote it.
OF_PROMPTS = {
    ENV_FILE: (
        "Instead: mention a template such as @.env.example, or write the file's name without the @: "
        "Claude then knows of it and does not read it."
    ),
    GUARD_ERROR: (
        "Instead: make the prompt shorter; if it stays blocked, tell whoever looks after this host that the "
        "guard failed."
    ),
}


def line(text: str) -> str:
    """Return `text` as one line that a terminal shows as it is."""
    return "".join(c if c.isprintable() else " " for c in text)[:400]
