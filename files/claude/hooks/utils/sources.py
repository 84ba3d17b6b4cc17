"""Where the slash commands' numbers come from: exporter, ledger, Prometheus, journal and audit trail."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from utils.settings import registered_in
from utils.views import Check, parse, total

if TYPE_CHECKING:
    from utils.settings import Settings
    from utils.views import Point

PATIENCE = 3.0  # seconds; somebody waits at the prompt
STALE = 60.0  # seconds after which numbers that stand still are worth a word


class UnavailableError(Exception):
    """A source that gives nothing; its text says why and what to do."""


def fetch(url: str) -> str:
    """Return the text at `url`, an address of the host's own configuration; raises `UnavailableError`."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=PATIENCE) as answer:
            return str(answer.read().decode("utf-8", "replace"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        message = f"{url} does not answer: {reason}"
        raise UnavailableError(message) from error


def points(settings: Settings) -> list[Point]:
    """Return the present samples, the exporter's or, without one, those of the user's own journal.

    Raises `UnavailableError`.
    """
    if settings.exporter:
        return parse(fetch(f"{settings.metrics_url}/metrics"))
    from utils.meter.ledger import LedgerError
    from utils.meter.oneshot import account

    try:
        return parse(account(settings, patience=PATIENCE).decode())
    except (LedgerError, OSError) as error:
        message = f"the journal cannot be accounted for: {error}"
        raise UnavailableError(message) from error


def day(settings: Settings, *, user: str) -> dict[str, float] | None:
    """Return dollars and tokens of the user's last 24 hours from Prometheus, or None without one."""
    if not settings.prometheus_url:
        return None
    found = {}
    for key, metric in (("usd", "claude_code_spend_usd_total"), ("tokens", "claude_code_tokens_total")):
        query = f"sum(increase({metric}{{user={json.dumps(user)}}}[1d])) or vector(0)"
        try:
            answer = json.loads(
                fetch(f"{settings.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
            )
            found[key] = float(answer["data"]["result"][0]["value"][1])
        except (UnavailableError, ValueError, LookupError, TypeError):
            return None
    return found


def audit(settings: Settings) -> list[dict[str, object]]:
    """Return the entries of the user's audit trail, oldest first; lines that are none are passed over."""
    entries = []
    try:
        with Path(settings.state_dir, "audit.jsonl").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if isinstance(entry, dict):
                    entries.append(entry)
    except OSError:
        return []
    return entries


def checks(settings: Settings) -> list[Check]:
    """Return what must be so for this user's numbers to arrive, and whether it is."""
    found = [
        Check(
            "configuration",
            not settings.error,
            settings.error or "readable",
            "Mend it, or run the play again.",
        ),
        _registration(settings),
        _journal(settings),
        *_voice(settings),
    ]
    try:
        samples = points(settings)
    except UnavailableError as error:
        remedy = "systemctl status claude-code-exporter" if settings.exporter else ""
        return [*found, Check("numbers", False, str(error), remedy)]  # noqa: FBT003 # good, as its neighbours
    found.append(Check("numbers", bool(samples), f"{len(samples)} series"))
    if settings.exporter:
        lag = total(samples, "exporter_journal_lag_seconds")
        found.append(
            Check("journal read", lag < STALE, f"{lag:.0f} s behind", "The exporter does not keep up.")
        )
        pushed = total(samples, "exporter_last_push_timestamp_seconds")
        if any(point.name == "claude_code_exporter_last_push_timestamp_seconds" for point in samples):
            age = time.time() - pushed
            found.append(
                Check(
                    "last push",
                    age < STALE * 5,
                    f"{age:.0f} s ago" if pushed else "never",
                    "The Pushgateway does not take it; nothing is lost meanwhile.",
                )
            )
    return found


def _registration(settings: Settings) -> Check:
    found = registered_in(settings.environ)
    if settings.installed:
        remedy = "No settings of this session register the installed hooks: run the play again."
        return Check("hooks", bool(found), found or "registered nowhere", remedy)
    remedy = "The installed hooks count already, and this copy does not."
    return Check("hooks", not found, found or "this project's copy", remedy)


def _voice(settings: Settings) -> list[Check]:
    """Return whether notifications are announced, where that is wanted."""
    engine = str(settings.notification.get("engine", "off"))
    if engine in ("", "off"):
        return []
    try:
        fault = Path(settings.state_dir, "voice.error").read_text(encoding="utf-8").strip()
    except OSError:
        fault = ""
    remedy = "See claude_hooks_notification_* in the README of role claude_hooks."
    return [Check("notifications", not fault, fault or f"announced by {engine}", remedy)]


def _journal(settings: Settings) -> Check:
    path = Path(settings.journal_dir, f"{os.geteuid()}.jsonl")
    try:
        age = time.time() - path.stat().st_mtime
    except OSError:
        if os.access(settings.journal_dir, os.W_OK | os.X_OK):
            return Check("journal", good=True, found=f"{path} is not begun, or was just read to its end")
        return Check("journal", False, f"{path} cannot be written", "Run the play again.")  # noqa: FBT003
    return Check(
        "journal", os.access(path, os.W_OK), f"{path}, last line {age:.0f} s ago", "Give it back to you."
    )
