"""Values of OpenTelemetry's environment variables, checked and encoded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*\Z")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*\Z")
CLIENTS_OWN = ("user.", "identity.", "session.", "organization.", "app.", "terminal.", "service.name")
LONGEST = 255


def resource_attributes(attributes: Mapping[str, Any]) -> str:
    """Return ``OTEL_RESOURCE_ATTRIBUTES`` for `attributes`, values percent-encoded, in the names' order.

    Raises `ValueError` for a name that is no attribute's or is Claude Code's own, and for a value that is no
    text or number, is empty, or is longer than 255 characters.
    """
    pairs = []
    for name, value in sorted(attributes.items()):
        where = f"claude_telemetry_resource_attributes: {name!r}"
        if not ATTRIBUTE.match(name):
            message = f"{where} is no attribute's name; use lower case, digits, _ and dots, like cost_center"
            raise ValueError(message)
        if name.startswith(CLIENTS_OWN):
            message = f"{where} is set by Claude Code itself; choose a name of your own"
            raise ValueError(message)
        if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
            message = f"{where} needs a text or a number; remove it or give it a value"
            raise ValueError(message)
        if len(str(value)) > LONGEST:
            message = f"{where} is longer than {LONGEST} characters; shorten it"
            raise ValueError(message)
        pairs.append(f"{name}={quote(str(value), safe='')}")
    return ",".join(pairs)


def otlp_headers(headers: Mapping[str, Any]) -> str:
    """Return ``OTEL_EXPORTER_OTLP_HEADERS`` for `headers`, values percent-encoded, in the names' order.

    Raises `ValueError` for a name that is no HTTP header's or a value that is no text, without showing it.
    """
    pairs = []
    for name, value in sorted(headers.items()):
        if not HEADER.match(name):
            message = f"claude_telemetry_otlp_headers: {name!r} is no HTTP header's name"
            raise ValueError(message)
        if not isinstance(value, str) or not value or "\n" in value or "\r" in value:
            message = f"claude_telemetry_otlp_headers: {name} needs a text of one line"
            raise ValueError(message)
        pairs.append(f"{name}={quote(value, safe='')}")
    return ",".join(pairs)


def environment_strings(environment: Mapping[str, Any]) -> dict[str, str]:
    """Return `environment` with every value as text, in the names' order.

    Raises `ValueError` for a name that no shell could export or a value that is neither text nor number.
    """
    for name, value in environment.items():
        if not VARIABLE.match(name):
            message = f"claude_telemetry_extra_environment: {name!r} is no variable's name; use upper case"
            raise ValueError(message)
        if isinstance(value, bool) or not isinstance(value, str | int | float) or "\n" in str(value):
            message = f"claude_telemetry_extra_environment: {name} needs a text of one line or a number"
            raise ValueError(message)
    return {name: str(value) for name, value in sorted(environment.items())}


class FilterModule:
    """The filters of this file, by the names that templates use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return name → function."""
        return {
            "environment_strings": environment_strings,
            "otlp_headers": otlp_headers,
            "resource_attributes": resource_attributes,
        }
