"""Measure the exporter: `python3 bench/exporter.py` starts a real one and prints what it does and takes."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.exporter import UID, Exporter, cost, header, line, wait_for  # noqa: E402

EVENTS = 200_000
POSTS = 300
SESSIONS = 500
PROJECTS = 50
IDLE_SECONDS = 10.0
TICKS = os.sysconf("SC_CLK_TCK")


def resident(exporter: Exporter) -> float:
    """Return the memory that the exporter holds, in MB."""
    assert exporter.process is not None
    status = Path(f"/proc/{exporter.process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def processor(exporter: Exporter) -> float:
    """Return the processor time that the exporter has taken, in seconds."""
    assert exporter.process is not None
    fields = Path(f"/proc/{exporter.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def report(what: str, value: str, aim: str) -> None:
    """Print one figure."""
    print(f"{what:<58} {value:>12}   aim {aim}")


def milliseconds(times: list[float]) -> str:
    """Return the median of durations in seconds, as text."""
    return f"{statistics.median(times) * 1000:.1f} ms"


def journal(exporter: Exporter, name: str, data: bytes) -> None:
    """Put a whole journal in place at once, as a day offline leaves it."""
    path = exporter.directory / name
    path.write_bytes(data)
    path.rename(exporter.journals / name)


def main() -> None:
    """Run all measurements on one exporter, in the order in which a day brings them."""
    with tempfile.TemporaryDirectory() as directory, Exporter(Path(directory)) as exporter:
        wait_for(lambda: exporter.total("claude_code_exporter_build_info"), "the first page")
        report("memory at rest", f"{resident(exporter):.1f} MB", "<= 60 MB")
        before, began = processor(exporter), time.monotonic()
        time.sleep(IDLE_SECONDS)
        idle = (processor(exporter) - before) / (time.monotonic() - began)
        report("processor at rest", f"{idle:.2%}", "<= 0.2 %")

        events = b"".join(
            line("PreToolUse", session=f"s{number // 50}", k="Bash", i=f"t{number}")
            for number in range(EVENTS)
        )
        began = time.monotonic()
        journal(exporter, f"{UID}.jsonl", header() + events)
        total = wait_for(
            lambda: exporter.total("claude_code_hook_events_total") >= EVENTS, "all events", seconds=120
        )
        assert total
        report(
            "events through journal, ledger and /metrics",
            f"{EVENTS / (time.monotonic() - began):,.0f}/s",
            ">= 20,000/s",
        )
        report("memory after that load", f"{resident(exporter):.1f} MB", "<= 60 MB")

        times = []
        for number in range(POSTS):
            began = time.monotonic()
            assert exporter.post("/v1/metrics", cost(0.001, session="s1", at=number))[0] == 200
            times.append(time.monotonic() - began)
        report("an OTLP export until it is on disk, median", milliseconds(times), "none")

        many = b"".join(
            line(event, session=f"m{number}", p=f"p{number % PROJECTS}", k="Bash")
            for number in range(SESSIONS)
            for event in ("SessionStart", "PreToolUse", "PostToolUse")
        )
        journal(exporter, f"{UID}.many.jsonl", header("1" * 32) + many)
        wait_for(
            lambda: exporter.total("claude_code_hook_events_total", event="SessionStart") == SESSIONS,
            "all projects",
        )
        times = []
        for _ in range(20):
            began = time.monotonic()
            size = len(exporter.get("/metrics")[2])
            times.append(time.monotonic() - began)
        report(
            f"/metrics of {PROJECTS} projects ({size // 1024} kB), median", milliseconds(times), "<= 50 ms"
        )


if __name__ == "__main__":
    main()
