"""The Python files of a directory on the controller, as the module python_tree takes them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def python_files(directory: str, *, below: str = "") -> dict[str, str]:
    """Return the text of each Python file under `directory` by its path in it, with `below` put in front.

    Raises `FileNotFoundError` when there is none, rather than let a host lose its files.
    """
    top = Path(directory)
    prefix = f"{below}/" if below else ""
    found = {
        f"{prefix}{path.relative_to(top)}": path.read_text(encoding="utf-8")
        for path in sorted(top.rglob("*.py"))
        if "__pycache__" not in path.parts
    }
    if not found:
        message = f"{directory} holds no Python files: is the checkout whole?"
        raise FileNotFoundError(message)
    return found


def hashed_files(files: dict[str, str], *, below: str) -> dict[str, str]:
    """Return the SHA-256 of each file by its path under the host's directory `below`."""
    return {
        f"{below.rstrip('/')}/{name}": hashlib.sha256(text.encode("utf-8")).hexdigest()
        for name, text in files.items()
    }


class FilterModule:
    """The filters of this file, by the names that templates use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return name → function."""
        return {"python_files": python_files, "hashed_files": hashed_files}
