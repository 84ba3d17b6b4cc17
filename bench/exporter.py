"""Measure the exporter: `python3 bench/exporter.py` starts real ones and prints what they do and take."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.meter import fill  # noqa: E402
from tests.support.exporter import UID, Exporter, cost, header, line, wait_for  # noqa: E402

EVENTS = 200_000
POSTS = 300
SCRAPES = 20
IDLE_SECONDS = 10.0
NEWLINE = b"\n"
TICKS = os.sysconf("SC_CLK_TCK")


def memory(exporter: Exporter, kind: str = "VmRSS") -> str:
    """Return the memory that the exporter holds, or with VmHWM the most it ever held."""
    assert exporter.process is not None
    status = Path(f"/proc/{exporter.process.pid}/status").read_text(encoding="ascii")
    return f"{int(status.partition(f'{kind}:')[2].split()[0]) / 1024:.1f} MB"


def processor(exporter: Exporter) -> float:
    """Return the processor time that the exporter has taken, in seconds."""
    assert exporter.process is not None
    fields = Path(f"/proc/{exporter.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def report(what: str, value: str, aim: str) -> None:
    """Print one figure."""
    print(f"{what:<66} {value:>12}   aim {aim}")


def milliseconds(times: list[float]) -> str:
    """Return the median of durations in seconds, as text."""
    return f"{statistics.median(times) * 1000:.1f} ms"


def journal(exporter: Exporter, name: str, data: bytes) -> None:
    """Put a whole journal in place at once, as a day offline leaves it."""
    path = exporter.directory / name
    path.write_bytes(data)
    path.rename(exporter.journals / name)


def at_work(directory: Path) -> None:
    """Measure one exporter in the order in which a day brings things."""
    with Exporter(directory) as exporter:
        wait_for(lambda: exporter.total("claude_code_exporter_build_info"), "the first page")
        report("memory at rest", memory(exporter), "<= 60 MB")
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
        rate = EVENTS / (time.monotonic() - began)
        report("events through journal, ledger and /metrics", f"{rate:,.0f}/s", ">= 20,000/s")
        report("most memory under that load", memory(exporter, "VmHWM"), "<= 60 MB")

        times = []
        for number in range(POSTS):
            began = time.monotonic()
            assert exporter.post("/v1/metrics", cost(0.001, session="s1", at=number))[0] == 200
            times.append(time.monotonic() - began)
        report("an OTLP export until it is on disk, median", milliseconds(times), "none")


def scraped(directory: Path) -> None:
    """Measure the page of a host on which ten people have fifty projects each, from the start on."""
    exporter = Exporter(directory)
    fill(exporter.ledger)
    with exporter:
        times = []
        for _ in range(SCRAPES + 1):
            began = time.monotonic()
            page = exporter.get("/metrics")[2]
            times.append(time.monotonic() - began)
        what = f"/metrics, 50 projects x 10 users, {page.count(NEWLINE):,} lines"
        report(f"{what}, the first", milliseconds(times[:1]), "<= 50 ms")
        report("... and then, median", milliseconds(times[1:]), "<= 50 ms")
        report("... most memory for it", memory(exporter, "VmHWM"), "none")


def main() -> None:
    """Run all measurements."""
    for measure in (at_work, scraped):
        with tempfile.TemporaryDirectory() as directory:
            measure(Path(directory))


if __name__ == "__main__":
    main()
