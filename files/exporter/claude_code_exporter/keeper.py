"""The one thread that touches the ledger; everybody else asks it and waits for the answer."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, TypeVar

from meter.ledger import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meter.ledger import Ledger

    from claude_code_exporter.reader import Journals

Answer = TypeVar("Answer")

FAULTS = (LedgerError, OSError)
"""What a disk that is full, read-only or broken makes the ledger raise; nothing was counted then."""

PASS_INTERVAL = 1.0
TICK_INTERVAL = 5.0
RETRY_AFTER_FAULT = 5.0
LAST_PASSES = 2.0
MOST_WAITING = 32

log = logging.getLogger("exporter")


class BusyError(Exception):
    """The ledger has too much before it; the caller should come again."""


class Keeper:
    """Owns the ledger: reads journals on time, and in between does what other threads ask for."""

    def __init__(self, ledger: Ledger, journals: Journals, *, boot_id: str) -> None:
        self.ledger = ledger
        self.trouble = ""
        self.passed = False
        self.last_turn = time.monotonic()
        self._journals = journals
        self._boot_id = boot_id
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._places = BoundedSemaphore(MOST_WAITING)
        self._stopping = False
        self._next_pass = self._next_tick = time.monotonic()

    def ask(self, work: Callable[[Ledger], Answer], *, timeout: float) -> Answer:
        """Have `work` done by the keeper's thread and return what it returned.

        Raises BusyError when too many wait, or when there is no answer within `timeout` seconds (the
        work may still be done after that); and whatever `work` raised.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError
        answer: Future[Answer] = Future()

        def do() -> None:
            self._places.release()
            try:
                answer.set_result(work(self.ledger))
            except BaseException as error:  # it belongs to whoever asked
                answer.set_exception(error)

        self._work.put(do)
        try:
            return answer.result(timeout)
        except FutureTimeoutError:
            raise BusyError from None

    def stop(self) -> None:
        """Make `run` read everything a last time and return; may be called from a signal handler."""
        self._stopping = True
        self._work.put(None)

    def run(self) -> None:
        """Work until `stop`: sleeps until asked, or until the next look at the journals is due."""
        while not self._stopping:
            self.last_turn = now = time.monotonic()
            if now >= self._next_pass:
                more = self._pass()
                after_fault = RETRY_AFTER_FAULT if self.trouble else PASS_INTERVAL
                self._next_pass = now if more else time.monotonic() + after_fault
            self._serve(max(0.0, self._next_pass - time.monotonic()))
        until = time.monotonic() + LAST_PASSES
        while self._pass() and time.monotonic() < until:
            pass

    def serve_rest(self) -> None:
        """Answer what is still waiting, without waiting for more."""
        self._serve(0)

    def _serve(self, wait: float) -> None:
        """Wait for work up to `wait` seconds, then do what is there, but not without end."""
        try:
            work = self._work.get(timeout=wait) if wait else self._work.get_nowait()
            for _ in range(MOST_WAITING):
                if work is None:
                    return
                work()
                work = self._work.get_nowait()
        except Empty:
            return
        if work is not None:
            self._work.put(work)

    def _pass(self) -> bool:
        """Read the journals and let time pass in the ledger; whether there is more to read at once."""
        try:
            more = self._journals.read(now=time.time(), between=self.serve_rest)
            if time.monotonic() >= self._next_tick:
                self.ledger.tick(now=time.time(), boot_id=self._boot_id)
                self._next_tick = time.monotonic() + TICK_INTERVAL
            if not self.passed:
                # Ready means that the first scrape, too, finds what it asks for rendered.
                self.ledger.pieces(now=time.time())
        except FAULTS as error:
            self._say(f"{error}; nothing is lost, the journals wait")
            return False
        self._say("")
        self.passed = True
        return more

    def _say(self, trouble: str) -> None:
        """Log that trouble came, changed or went; once, not at each try."""
        if trouble and trouble != self.trouble:
            log.error(trouble)
        elif self.trouble and not trouble:
            log.warning("the ledger can be written again")
        self.trouble = trouble
