"""The module that stops and signals a daemon by its PID file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from plugins.modules.pid_file import running, stop

SLEEP = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)",
]


def started(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a process and wait for the line it prints when it is ready."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_daemon_that_nobody_reaps_counts_as_stopped() -> None:
    with started(SLEEP) as process:
        assert running(process.pid, os.getuid())
        assert stop(process.pid, os.getuid(), patience=10.0)
        assert process.wait(timeout=10) == -signal.SIGTERM


def test_a_daemon_that_does_not_listen_is_killed() -> None:
    with started(STUBBORN) as process:
        assert stop(process.pid, os.getuid(), patience=0.2)
        assert process.wait(timeout=10) == -signal.SIGKILL


def test_another_users_process_is_never_taken_for_the_daemon() -> None:
    assert not running(os.getpid(), os.getuid() + 1)
