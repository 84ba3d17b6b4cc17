"""The daemon as a whole: its command line, its parts, and how it begins and ends."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from meter.ledger import Ledger, LedgerBusy, LedgerError

from claude_code_exporter import selfcheck
from claude_code_exporter.canary import fly, keep_flying
from claude_code_exporter.certificates import expiries
from claude_code_exporter.collector import own_families, render
from claude_code_exporter.config import ConfigError, load, options
from claude_code_exporter.keeper import Keeper
from claude_code_exporter.posture import Sentry
from claude_code_exporter.push import LAST_TIMEOUT, Pusher, PushError, group_path
from claude_code_exporter.reader import Journals
from claude_code_exporter.receiver import Receiver
from claude_code_exporter.server import GRACE, Listener, ListenError, Pages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_code_exporter.config import Config

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
ANSWER_WITHIN = 8.0
STUCK_AFTER = 60.0
WORKERS = 16
"""Threads of each listener."""

log = logging.getLogger("exporter")


def boot_id() -> str:
    """Return what differs from boot to boot; empty where the system does not say, as macOS does not here."""
    return BOOT_ID.read_text(encoding="ascii").strip() if BOOT_ID.exists() else ""


class Daemon:
    """The parts of a running exporter, from an open ledger to its end."""

    def __init__(self, config: Config, ledger: Ledger) -> None:
        self._config = config
        self.journals = Journals(config.journal_dir, ledger)
        self.keeper = Keeper(ledger, self.journals, boot_id=boot_id())
        self.pusher: Pusher | None = None
        if config.transport == "pushgateway" and config.pushgateway:
            self.pusher = Pusher(config.pushgateway, config.instance, lambda: self.render("")[0])
        self.sentry = Sentry(config.guard) if config.guard else None
        pages = Pages(render=self.render, unhealthy=self.unhealthy, unready=self.unready)
        self.listeners = [Listener(config.otlp_listen, Receiver(self.keeper), threads=WORKERS, outlives=True)]
        try:
            self.listeners.append(Listener(config.listen, pages, threads=WORKERS, web=config.web))
        except (ListenError, ConfigError):
            self.listeners[0].stop()
            raise

    def render(self, accept: str) -> tuple[list[bytes], str]:
        """All metrics of now in pieces, as an Accept header asks for them. Raises BusyError."""

        def totals(openmetrics: bool) -> list[bytes]:  # noqa: FBT001 # as render calls it
            return self.keeper.ask(
                lambda ledger: ledger.pieces(now=time.time(), openmetrics=openmetrics),
                timeout=ANSWER_WITHIN,
            )

        own = own_families(
            lag=self.journals.lag(time.time()),
            ledger_bytes=self.keeper.ledger.size(),
            pushes=(self.pusher.last_success, self.pusher.failures) if self.pusher else None,
            posture=self.sentry.posture if self.sentry else None,
            certificates=expiries(self._config.certificates),
            constant_labels=self._config.labels,
        )
        return render(totals, own, accept)

    def unhealthy(self) -> str:
        """Why the process should be replaced, or nothing."""
        silent = time.monotonic() - self.keeper.last_turn
        return f"the ledger's thread has not moved for {silent:.0f} s" if silent > STUCK_AFTER else ""

    def unready(self) -> str:
        """Why what it serves cannot be relied on yet, or nothing."""
        return self.keeper.trouble or ("" if self.keeper.passed else "the journals have not been read yet")

    def run(self, stop: Event) -> None:
        """Work until SIGTERM or SIGINT; then read, push and leave."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: self.keeper.stop())
        threads = [Thread(target=self._watch, args=(stop,), name="watch", daemon=True)]
        flight = (self._config.journal_dir, self._config.canary_interval, stop)
        threads.append(Thread(target=keep_flying, args=flight, name="canary", daemon=True))
        if self.pusher:
            threads.append(Thread(target=self.pusher.run, name="push", daemon=True))
        if self.sentry:
            threads.append(Thread(target=self.sentry.run, args=(stop,), name="sentry", daemon=True))
        for thread in threads:
            thread.start()
        self.keeper.run()
        stop.set()
        self._leave()

    def _watch(self, stop: Event) -> None:
        while not stop.wait(1.0):
            for listener in self.listeners:
                listener.hurry()

    def _leave(self) -> None:
        """Stop taking, answer what was taken, and push the last totals."""
        ending = [Thread(target=listener.stop, daemon=True) for listener in self.listeners]
        if self.pusher:
            self.pusher.stop()
            ending.append(Thread(target=self.pusher.push, kwargs={"timeout": LAST_TIMEOUT}, daemon=True))
        for thread in ending:
            thread.start()
        until = time.monotonic() + GRACE + 1.0
        while time.monotonic() < until and any(thread.is_alive() for thread in ending):
            self.keeper.serve_rest()
            time.sleep(0.02)


def serve(config: Config) -> int:
    """Run the daemon; returns the exit status."""
    try:
        ledger = Ledger.open(config.ledger, options=options(config), now=time.time())
    except LedgerBusy:
        log.error(
            "another exporter has the ledger %s open; stop it first, or give this one its own", config.ledger
        )
        return 1
    except (LedgerError, OSError) as error:
        log.error("%s", error)
        return 1
    if ledger.damage:
        log.error("%s", ledger.damage)
    try:
        Daemon(config, ledger).run(Event())
    except (ListenError, ConfigError, OSError) as error:
        log.error("%s", error)
        return 1
    finally:
        ledger.close()
    return 0


def delete_group(config: Config) -> int:
    """Remove this host's group from the Pushgateway; returns the exit status."""
    if config.pushgateway is None:
        return 0
    try:
        Pusher(config.pushgateway, config.instance, list).delete()
    except PushError as error:
        group = config.pushgateway.url.rstrip("/") + group_path(config.instance)
        log.error("%s; this host's numbers are still there: delete them by curl -X DELETE %s", error, group)
        return 1
    return 0


def append_canary(config: Config) -> int:
    """Append a synthetic event to the caller's journal; returns the exit status."""
    try:
        fly(config.journal_dir)
    except OSError as error:
        log.error("no journal can be written in %s: %s", config.journal_dir, error)
        return 1
    return 0


def check_itself(config: Config, *, seconds: float, command: Sequence[str]) -> int:
    """Check the running daemon; prints a warning that is no failure; returns the exit status."""
    try:
        warning = selfcheck.run(config, seconds=seconds, command=command)
    except (selfcheck.SelfcheckError, ConfigError) as error:
        log.error("%s", error)
        return 1
    if warning:
        sys.stdout.write(f"{warning}\n")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; returns 0, 1 after a failure, 2 for a wrong configuration."""
    parser = argparse.ArgumentParser(
        prog="claude_code_exporter", description="Claude Code's numbers for Prometheus."
    )
    parser.add_argument("--config", type=Path, required=True, help="the exporter.json to work by")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check-config", action="store_true", help="only check the configuration")
    what.add_argument("--delete-group", action="store_true", help="only remove this host's group")
    what.add_argument("--canary", action="store_true", help="only append a synthetic event")
    what.add_argument("--selfcheck", type=float, metavar="SECONDS", help="only check the running daemon")
    parser.add_argument("command", nargs="*", help="with --selfcheck: what appends the synthetic event")
    asked = parser.parse_args(arguments)
    stamp = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(level=logging.WARNING, format=stamp + "%(levelname)s %(message)s", stream=sys.stderr)
    try:
        config = load(asked.config)
        options(config)
    except ConfigError as error:
        log.error("%s", error)
        return 2
    if asked.check_config:
        return 0
    if asked.selfcheck is not None:
        return check_itself(config, seconds=asked.selfcheck, command=asked.command)
    if asked.canary:
        return append_canary(config)
    return delete_group(config) if asked.delete_group else serve(config)
