"""What a check found, and the words for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "fail", "note", "unseen"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result: `detail` is some words about this host, `follows` a failed check that explains it.

    `fail` is what somebody must mend; `note` is worth knowing; `unseen` could not be looked at.
    """

    name: str
    state: State
    detail: str
    follows: str = ""


def ok(name: str, detail: str) -> Finding:
    """Return that a check found all well."""
    return Finding(name, "ok", detail)


def fail(name: str, detail: str) -> Finding:
    """Return that a check failed."""
    return Finding(name, "fail", detail)


def note(name: str, detail: str) -> Finding:
    """Return something worth knowing that is no failure."""
    return Finding(name, "note", detail)


def unseen(name: str, why: str) -> Finding:
    """Return that a check could not look."""
    return Finding(name, "unseen", why)


def either(name: str, problems: list[str], well: str) -> Finding:
    """Return a failure that lists all problems, or that all is well."""
    return fail(name, "; ".join(problems)) if problems else ok(name, well)
