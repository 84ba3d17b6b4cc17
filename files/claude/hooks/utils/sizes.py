"""How much a tool was given and gave back, as classes: nobody learns a text from its class."""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from collections.abc import Mapping

CLASSES = ((0, "0"), (1_000, "1k"), (10_000, "10k"), (100_000, "100k"), (1_000_000, "1M"))
"""The largest size of each class, in bytes, and its name; utils/meter/contract.py counts by these names."""
BEYOND = "more"


def class_of(value: object) -> str:
    """Return the class of the bytes that all text in `value` has in UTF-8; names of keys are not text."""
    size = 0
    left = [value]
    while left and size <= CLASSES[-1][0]:  # what is larger need not be known to its end
        part = left.pop()
        if isinstance(part, str):
            size += len(part) if part.isascii() else len(part.encode("utf-8", "surrogatepass"))
        elif isinstance(part, dict):
            left.extend(part.values())
        elif isinstance(part, list):
            left.extend(part)
    for largest, name in CLASSES:
        if size <= largest:
            return name
    return BEYOND


def classes(hook_input: Mapping[str, object]) -> dict[str, str]:
    """Return the journal's ``n`` and ``o`` for a finished call: classes of its input and of its output.

    A key stays out where the hook's input has no such thing. A failed call's output is its error.
    """
    output = "tool_response" if "tool_response" in hook_input else "error"
    sources = {"n": "tool_input", "o": output}
    return {key: class_of(hook_input[name]) for key, name in sources.items() if name in hook_input}
