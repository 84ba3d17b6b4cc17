"""Measure the meter: `python3 bench/meter.py [SCENARIO...]` prints one line of figures for each scenario.

Each scenario runs in a process of its own, so that its memory is its own. Without a scenario all are run, and
then the real exporter (bench/exporter.py) and the hooks (bench/hooks.py).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "files/claude/hooks"))

from utils.meter.ledger import Ledger, Options  # noqa: E402

NOW = 1_795_333_937.0
CHUNK = 1 << 20
TOOLS = ("Bash", "Read", "Edit", "Grep")
CAPTURED = ROOT / "tests/unit/data"


def memory() -> float:
    """Return the most memory this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def lines(events: int, *, sessions: int, project: str = "proj", seed: str = "s") -> bytes:
    """Return a journal of `events` lines, evenly of `sessions` sessions that each use four tools."""
    rows = []
    each = max(4, events // sessions)
    for number in range(events):
        session, step = divmod(number, each)
        record: dict[str, object] = {"t": NOW + number / 1000, "s": f"{seed}{session}", "p": project}
        if step == 0:
            record.update(e="SessionStart", x="startup")
        elif step == each - 1:
            record.update(e="SessionEnd", x="other")
        else:
            record.update(k=TOOLS[step // 2 % 4], i=f"toolu_{number // 2:024d}")
            record.update({"e": "PostToolUse", "d": 12} if step % 2 == 0 else {"e": "PreToolUse"})
        rows.append(json.dumps(record))
    return "\n".join(rows).encode() + b"\n"


def consume(ledger: Ledger, data: bytes, *, owner: int = 1000, journal: str = "j") -> None:
    """Feed `data` to `ledger` as the exporter does: a chunk, a transaction."""
    offset = 0
    while offset < len(data):
        offset = ledger.journal(
            owner=owner,
            user=f"user{owner}",
            journal=journal,
            offset=offset,
            chunk=data[offset : offset + CHUNK],
            now=NOW,
        )


def open_ledger(directory: str) -> Ledger:
    """Return a new ledger in `directory`."""
    return Ledger.open(Path(directory) / "ledger.sqlite", options=Options({"team": "platform"}), now=NOW)


def journal(directory: str) -> str:
    """Events a second through journal and ledger to the exposition."""
    path = Path(directory) / "1000.jsonl"
    ledger = open_ledger(directory)
    before = memory()
    with path.open("wb") as file:
        file.write(json.dumps({"journal": "0" * 32, "v": 1}).encode() + b"\n")
        for part in range(100):
            file.write(lines(2_000, sessions=10, seed=f"{part}-"))
    start = time.perf_counter()
    with path.open("rb") as file:
        offset = 0
        while chunk := os.pread(file.fileno(), CHUNK, offset):
            offset = ledger.journal(owner=1000, user="dev", journal="j", offset=offset, chunk=chunk, now=NOW)
    text = ledger.exposition(now=NOW)
    seconds = time.perf_counter() - start
    rate = f"{200_000 / seconds:,.0f} events/s ({len(text):,} bytes of metrics)"
    return f"{rate}, memory {before:.1f} -> {memory():.1f} MB"


def otlp(directory: str) -> str:
    """Log records a second through OTLP to the exposition, the recorded export over and over."""
    ledger = open_ledger(directory)
    text = (CAPTURED / "capture-logs.json").read_text()
    records = text.count('"timeUnixNano"')
    start = time.perf_counter()
    for number in range(100):
        payload = json.loads(text.replace("req_", f"req_{number}_"))
        ledger.otlp_logs(payload, digest=str(number).encode(), now=NOW)
    seconds = time.perf_counter() - start
    ledger.exposition(now=NOW)
    rate = f"{100 * records / seconds:,.0f} records/s in {100 / seconds:,.0f} exports/s"
    return f"{rate}, memory {memory():.1f} MB"


def fill(path: Path) -> None:
    """Make a ledger of 50 projects x 10 users, each with four tools, cost and response times."""
    ledger = Ledger.open(path, options=Options({"team": "platform"}), now=NOW)
    export = json.loads((CAPTURED / "capture-logs.json").read_text())
    figures = json.loads((CAPTURED / "capture-metrics.json").read_text())
    recorded = "2357881f-da70-4230-955d-2f51404ba029"
    for user in range(10):
        for project in range(50):
            seed = f"{user}-{project}-"
            data = lines(20, sessions=1, project=f"project{project}", seed=seed)
            consume(ledger, data, owner=1000 + user, journal=seed)
            for body, take in ((export, ledger.otlp_logs), (figures, ledger.otlp_metrics)):
                payload = json.loads(json.dumps(body).replace(recorded, f"{seed}0"))
                take(payload, digest=f"{seed}{take.__name__}".encode(), now=NOW)
    ledger.tick(now=NOW + 3600, boot_id="boot")
    ledger.close()


def size(directory: str) -> str:
    """Render the exposition of 50 projects x 10 users."""
    fill(Path(directory) / "ledger.sqlite")
    ledger = open_ledger(directory)
    start = time.perf_counter()
    first = ledger.exposition(now=NOW + 3600)
    cold = time.perf_counter() - start
    best = 1e9
    for number in range(5):
        consume(ledger, lines(20, sessions=1, seed=f"more{number}"), journal=f"more{number}")
        start = time.perf_counter()
        text = ledger.exposition(now=NOW + 3600)
        best = min(best, time.perf_counter() - start)
    samples = sum(not line.startswith(b"#") for line in text.splitlines())
    return (
        f"{samples:,} samples, {len(first):,} bytes, first {cold * 1000:.0f} ms, then {best * 1000:.0f} ms, "
        f"memory {memory():.1f} MB, ledger {ledger.size():,} bytes"
    )


def rest(directory: str) -> str:
    """Memory of a ledger with one user's project, and one tick."""
    ledger = open_ledger(directory)
    consume(ledger, lines(20, sessions=1))
    start = time.perf_counter()
    ledger.tick(now=NOW, boot_id="boot")
    return f"memory {memory():.1f} MB, tick {(time.perf_counter() - start) * 1000:.2f} ms"


SCENARIOS = {function.__name__: function for function in (journal, otlp, size, rest)}


def main() -> None:
    """Run the scenarios that the command line names, or everything."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    names = sys.argv[1:] or list(SCENARIOS)
    if len(names) == 1:
        with tempfile.TemporaryDirectory() as directory:
            print(f"{names[0]:8} {SCENARIOS[names[0]](directory)}")
        return
    for name in names:
        subprocess.run([sys.executable, __file__, name], check=True)
    for other in [] if sys.argv[1:] else ("exporter.py", "hooks.py"):
        subprocess.run([sys.executable, str(ROOT / "bench" / other)], check=True)


if __name__ == "__main__":
    main()
