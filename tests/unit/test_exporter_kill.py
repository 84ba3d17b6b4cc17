"""A hundred times `kill -9`, at random moments and under load: not a line, not a cent too many or too few."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from threading import Event, Thread

import pytest
from utils import journal as hooks_journal
from utils.settings import Settings, load

from tests.support.exporter import PROGRAM, Exporter, cost, wait_for

KILLS = 100
NANO = 10**9

# Forks exporters from a process that has imported everything, so that a start costs milliseconds.
NURSERY = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from claude_code_exporter.daemon import main
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for config in sys.stdin:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os._exit(main(["--config", config.strip()]))
    print(child, flush=True)
"""


class Nursery:
    """Starts exporters quickly and kills them."""

    def __init__(self, exporter: Exporter) -> None:
        exporter.command()
        self.config = exporter.config
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", NURSERY, str(PROGRAM.parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=exporter.log.open("ab"),
            text=True,
        )

    def start(self) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{self.config}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def kill(self, child: int) -> None:
        os.kill(child, signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{child}").exists(), "the end of a killed process")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Load:
    """Hooks that append and clients that post, until told to stop; each knows what it has got through."""

    def __init__(self, exporter: Exporter, settings: Settings) -> None:
        self.exporter = exporter
        self.settings = settings
        self.over = Event()
        self.prompts = 0
        self.posted = 0
        self.nano_dollars = 0
        self.retries = 0
        self.threads = [Thread(target=self.append), Thread(target=self.post)]
        for thread in self.threads:
            thread.start()

    def append(self) -> None:
        while not self.over.is_set():
            session = f"session-{self.prompts % 7}"
            hooks_journal.append(
                self.settings, "UserPromptSubmit", {"session_id": session, "cwd": "/src/shop"}
            )
            self.prompts += 1
            time.sleep(0.001)

    def post(self) -> None:
        while not self.over.is_set():
            nano = 1_000 + self.posted
            body = cost(nano / NANO, session=f"session-{self.posted % 7}", at=self.posted)
            while self.send(body) != 200:
                self.retries += 1
                time.sleep(0.005)
            self.posted += 1
            self.nano_dollars += nano

    def send(self, body: bytes) -> int:
        try:
            return self.exporter.post("/v1/metrics", body)[0]
        except (OSError, HTTPException):
            return 0

    def stop(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Exporter]:
    with contextlib.closing(Exporter(tmp_path)) as made:
        yield made


@pytest.fixture
def settings(exporter: Exporter) -> Settings:
    config = exporter.directory / "hooks.json"
    config.write_text(f'{{"journal_dir": "{exporter.journals}"}}')
    return load(["hook", "--config", str(config)], {})


def test_a_hundred_kills_cost_nothing_and_double_nothing(exporter: Exporter, settings: Settings) -> None:
    chance = random.Random(4)  # noqa: S311 # the moments of death need only differ
    nursery = Nursery(exporter)
    load = Load(exporter, settings)
    try:
        for _ in range(KILLS):
            child = nursery.start()
            time.sleep(chance.uniform(0.0, 0.15))
            nursery.kill(child)
        child = nursery.start()
        load.stop()
        wait_for(lambda: exporter.total("claude_code_prompts_total") >= load.prompts, "the last prompt")
        assert exporter.total("claude_code_prompts_total") == load.prompts
        spend = exporter.total("claude_code_spend_usd_total")
        assert round(spend * NANO) == load.nano_dollars
        assert exporter.total("claude_code_exporter_rejected_total") == 0
        # The kills hit something: posts were broken off, and between kills work was done.
        assert load.retries >= KILLS / 4
        assert load.posted >= KILLS
        assert load.prompts >= 10 * KILLS
        nursery.kill(child)
    finally:
        load.stop()
        nursery.close()
    assert exporter.said() == ""
