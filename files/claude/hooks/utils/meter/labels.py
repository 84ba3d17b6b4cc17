"""How users and projects become labels: in full, hashed, or not at all."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .contract import OTHER, RESERVED, UNKNOWN, fold_name

if TYPE_CHECKING:
    from collections.abc import Mapping

Mode = Literal["full", "hashed", "off"]

_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*\Z")


@dataclass(frozen=True)
class Options:
    """How a ledger counts. Times in seconds; raises `ValueError` with one sentence for what cannot be.

    constant_labels: put on every series. hash_key: for ``hashed`` labels. session_linger: how long the gauges
    of a session stay after its end. partner_wait: how long OTLP data waits for the hooks to say whose it is.
    debut: how long a new series is shown at 0 before its value, so that `increase()` sees the first step; for
    that it must be longer than a push and a scrape together. 0 shows values at once.
    """

    constant_labels: Mapping[str, str] = field(default_factory=dict)
    user_label: Mode = "full"
    project_label: Mode = "full"
    hash_key: str = ""
    max_projects: int = 50
    session_timeout: float = 1800.0
    session_linger: float = 900.0
    partner_wait: float = 300.0
    debut: float = 0.0

    def __post_init__(self) -> None:
        for name in self.constant_labels:
            if not _NAME.match(name) or name in RESERVED:
                message = (
                    f"the label {name!r} cannot be put on every series: choose a name that no metric uses"
                )
                raise ValueError(message)
        for mode in (self.user_label, self.project_label):
            if mode not in ("full", "hashed", "off"):
                message = f"a label can be full, hashed or off, not {mode!r}"
                raise ValueError(message)
        if "hashed" in (self.user_label, self.project_label) and len(self.hash_key) < 16:
            message = "hashed labels need a hash key of at least 16 characters"
            raise ValueError(message)

    def user(self, name: str) -> str:
        """Return the label of the user `name`."""
        return self._label(name, mode=self.user_label, kind="user")

    def project(self, name: str) -> str:
        """Return the label of the project `name`, before the ledger caps how many there are."""
        return self._label(name, mode=self.project_label, kind="project")

    def _label(self, name: str, *, mode: str, kind: str) -> str:
        if mode == "off":
            return ""
        folded = fold_name(name)
        if mode == "full" or folded in (OTHER, UNKNOWN):
            return folded
        return hmac.new(self.hash_key.encode(), f"{kind}:{folded}".encode(), hashlib.sha256).hexdigest()[:16]
