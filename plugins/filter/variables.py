"""Names of role variables: which of them no role knows, and what was probably meant or took their place."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


def specified_variables(specs: Mapping[str, Any]) -> list[str]:
    """Return the names of all options in a role's ``argument_specs`` document, over all entry points."""
    entries = (specs.get("argument_specs") or {}).values()
    return sorted({name for entry in entries for name in (entry.get("options") or {})})


def sibling_roles(directory: str) -> list[str]:
    """Return the names of the roles in a directory of roles."""
    return sorted(specs.parent.parent.name for specs in Path(directory).glob("*/meta/argument_specs.yml"))


def former_variables(directory: str, role: str) -> dict[str, str]:
    """Return the role's variables of earlier releases, from its ``meta/former.yml``, if it has one.

    Each old name leads to what took its place: the name of a present variable, or a sentence.
    """
    path = Path(directory) / role / "meta/former.yml"
    former: dict[str, str] = yaml.safe_load(path.read_text()) if path.exists() else {}
    return former


def unknown_variables(
    names: Iterable[str],
    known: Iterable[str],
    *,
    role: str,
    former: Mapping[str, str] | None = None,
    prefixes: Iterable[str] = (),
    roles: Iterable[str] = (),
) -> list[str]:
    """Return one sentence for each name that carries the role's prefix and is not among ``known``.

    ``former`` is what ``former_variables`` returns. ``prefixes`` are further prefixes the role owns, without
    the underscore. ``roles`` are the names of all roles: a variable whose longest matching role is another
    one (``prometheus_agent_x`` beside ``prometheus``) is that role's affair.
    """
    mine = {role, *prefixes}
    others = set(roles) - mine
    known = set(known)

    def owner(name: str) -> str:
        return max((o for o in mine | others if name.startswith(f"{o}_")), key=len, default="")

    sentences = []
    for name in sorted(set(names) - known):
        if owner(name) not in mine:
            continue
        successor = (former or {}).get(name)
        if successor:
            renamed = f"is now called {successor}: rename it in the inventory."
            gone = f"is no longer a variable of role {role}: {successor}"
            sentences.append(f"{name} {renamed if successor in known else gone}")
            continue
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else f"roles/{role}/README.md lists those it knows."
        sentences.append(f"{name} is not a variable of role {role}: {hint}")
    return sentences


class FilterModule:
    """The filters of this file, by the names that templates use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return name → function."""
        return {
            "former_variables": former_variables,
            "sibling_roles": sibling_roles,
            "specified_variables": specified_variables,
            "unknown_variables": unknown_variables,
        }
