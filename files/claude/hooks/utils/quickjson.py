"""JSON through the C half of the standard library's module alone.

``import json`` costs as much as starting the interpreter, because its Python half compiles regular
expressions. Both use the same C scanner, so `loads` accepts and returns what ``json.loads`` does; where the C
half is missing or refuses, ``json`` itself decides.
"""

from __future__ import annotations

try:
    from _json import encode_basestring_ascii, make_scanner
except ImportError:  # an interpreter without the C half
    from json.encoder import encode_basestring_ascii
    from json.scanner import make_scanner

_BLANK = " \t\n\r"


class _Context:
    """The attributes that the scanner reads from a decoder."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012 - read by name, as json.JSONDecoder's own


def loads(data: bytes) -> object:
    """Return what ``json.loads`` makes of `data`; raises `ValueError` or `RecursionError`."""
    text = data.decode("utf-8").strip(_BLANK)
    try:
        value, end = make_scanner(_Context)(text, 0)  # type: ignore[arg-type] # the stub knows JSONDecoder only
    except Exception:
        end = -1
    if end != len(text):
        import json  # the slow way, for its verdict and its message

        value = json.loads(text)
    return value


def dumps(record: dict[str, str | float]) -> str:
    """Return a flat object of strings and finite numbers as one line of ASCII without a newline."""
    members = []
    for key, value in record.items():
        text = encode_basestring_ascii(value) if isinstance(value, str) else repr(value)
        members.append(f"{encode_basestring_ascii(key)}: {text}")
    return "{" + ", ".join(members) + "}"
