"""What a telemetry hook adds to an event: ``bench/hooks.py [RUNS]``.

Starts an empty interpreter and each hook in turns, so that whatever else the machine does falls on all alike,
and prints medians in milliseconds and their ratios to the empty interpreter. Exits 1 when one is above 2.6.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOOKS = Path(__file__).parents[1] / "files/claude/hooks"
PYTHON = ["/usr/bin/python3", "-I", "-S"]
CEILING = 2.6
EVENT = {
    "session_id": "2357881f-da70-4230-955d-2f51404ba029",
    "transcript_path": "/home/dev/.claude/projects/x/2357881f.jsonl",
    "cwd": "/home/dev/shop",
    "tool_name": "Write",
    "tool_input": {"file_path": "/home/dev/shop/a.py", "content": "x = 1\n" * 200},
    "tool_response": {"type": "create", "content": "x = 1\n" * 200},
    "tool_use_id": "toolu_57e8bbb5ad1649ec8cc0221d",
    "duration_ms": 12,
}


def cases(config: Path) -> dict[str, tuple[list[str], bytes]]:
    """Return each case's command line and standard input, the empty interpreter first.

    The last is a copied bundle: without a configuration it looks into the settings of user and project.
    """
    found: dict[str, tuple[list[str], bytes]] = {"python3 -I -S -c pass": ([*PYTHON, "-c", "pass"], b"")}
    for script, event in (
        ("post_tool_use.py", "PostToolUse"),
        ("notification.py", "Notification"),
        ("prometheus_sender.py", "Stop"),
    ):
        data = json.dumps({**EVENT, "hook_event_name": event}).encode()
        found[script] = ([*PYTHON, str(HOOKS / script), "--config", str(config)], data)
    command, data = found["post_tool_use.py"]
    found["post_tool_use.py, copied"] = (command[:-2], data)
    return found


def environment(directory: Path) -> dict[str, str]:
    """Return that of a copied bundle's hooks, with settings in user's and project's directories."""
    settings = (HOOKS.parent / "settings.json").read_text()
    places = {"CLAUDE_CONFIG_DIR": directory / "own", "CLAUDE_PROJECT_DIR": directory / "project"}
    for place in (places["CLAUDE_CONFIG_DIR"], places["CLAUDE_PROJECT_DIR"] / ".claude"):
        place.mkdir(parents=True)
        (place / "settings.json").write_text(settings)
    return {**{name: str(place) for name, place in places.items()}, "XDG_STATE_HOME": str(directory)}


def main(runs: int) -> int:
    """Measure, print and return the exit status."""
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "hooks.json"
        config.write_text(json.dumps({"journal_dir": directory}))
        subprocess.run([*PYTHON, "-m", "compileall", "-q", str(HOOKS)], check=True)
        commands = cases(config)
        env = environment(Path(directory))
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(runs):
            for name, (command, data) in commands.items():
                start = time.perf_counter()
                subprocess.run(command, input=data, env=env, check=True)
                times[name].append((time.perf_counter() - start) * 1000)
        lines = sum(path.read_bytes().count(b"\n") for path in Path(directory).rglob("*.jsonl"))
    due = 2 + 4 * runs  # each journal begins with a line of its own
    assert lines == due, f"{lines} lines in the journals, and {due} were due"
    medians = {name: statistics.median(values) for name, values in times.items()}
    empty = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"{name:24} {median:7.2f} ms  {median / empty:5.2f}   aim <= {CEILING}")
    return int(max(medians.values()) / empty > CEILING)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 60))
