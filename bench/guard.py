"""How right and how fast the guard is: ``bench/guard.py [--corpus FILE]... [--peer COMMAND] [--runs N]``.

Scores the guard on its own corpus and on any others given, without the cases that are marked undecidable or
for which either verdict is right; times it beside an empty interpreter and, when given, beside another guard,
in turns, so that whatever else the machine does falls on all alike; and times its worst cases. Commands of a
corpus are data: they are judged, never run. Exits 1 when a figure misses its target.

A corpus holds one JSON object a line: ``tool_name``, ``tool_input``, ``expect`` (block, allow, ask) and
optionally ``cwd``, ``home``, ``category`` or ``tag``, ``difficulty``, ``acceptable``.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOOKS = ROOT / "files/claude/hooks"
OWN = ROOT / "tests/unit/data/guard_own.jsonl"
PYTHON = ["/usr/bin/python3", "-I", "-S"]
TIMES_EMPTY = 3.0  # the most that one call may cost, in empty interpreters
SHARE_OF_PEER = 1 / 3
WORST = 250.0  # ms
EVERYDAY = [
    "git status",
    "npm test 2>&1 | tail -20",
    "cd src && python3 -m pytest -q tests/test_x.py",
    "grep -rn 'import' src | head",
    'for f in src/*.py; do echo "$f"; done',
    "git commit -m \"$(cat <<'EOF'\nFix the parser\nEOF\n)\"",
]
LARGE = {
    "100 kB in one quoted word": "echo '" + "x y " * 25_000 + "'",
    "100 kB here-document": "cat > notes <<'EOF'\n" + "some text; here (x) {y}\n" * 4_200 + "EOF\n",
    "100 kB of statements": "ls a;" * 20_000,
    "100 kB Python program": 'python3 -c "' + "print(1);" * 11_000 + '"',
    "10,000 words": "echo " + "word " * 10_000,
    "10,000 quoted words": "echo " + '"wo$rd" ' * 10_000,
    "10,000 targets of rm": "rm -rf " + "./build/a " * 10_000,
    "10,000 substitutions": "echo " + "$(true) " * 10_000,
    "nesting of 200 $( )": "echo " + "$(echo " * 200 + "x" + ")" * 200,
    "nesting of 200 if": "if true; then " * 200 + "echo x; " + "fi; " * 200,
    "nesting of 200 { }": "{ " * 200 + "echo x; " + "}; " * 199 + "}",
    "nesting of 200 hiding rm": "echo " + "$(echo " * 200 + "$(rm -rf /)" + ")" * 200,
}


def hook_input(tool: str, tool_input: object, cwd: str = "/workspace/project") -> bytes:
    """Return what Claude Code writes to the hook."""
    call = {"session_id": "s", "cwd": cwd, "hook_event_name": "PreToolUse", "tool_use_id": "toolu_bench"}
    return json.dumps({**call, "tool_name": tool, "tool_input": tool_input}).encode()


def score(path: Path) -> dict[str, tuple[int, int]]:
    """Return for each expectation and group of `path` how many verdicts are right, of how many."""
    sys.path.insert(0, str(HOOKS))
    sys.setrecursionlimit(20_000)
    from utils.guard import decide
    from utils.guard.policy import Policy

    shfmt = next((p for p in ("/usr/bin/shfmt", "/usr/local/bin/shfmt") if os.access(p, os.X_OK)), "")
    groups: dict[str, list[bool]] = collections.defaultdict(list)
    for line in path.read_text().splitlines():
        case = json.loads(line)
        if case.get("difficulty") == "undecidable" or "acceptable" in case or case["expect"] == "ask":
            continue
        policy = Policy()
        policy.home, policy.shfmt = case.get("home", "/home/user"), shfmt
        policy.project = cwd = case.get("cwd", "/workspace/project")
        got = "block" if decide(case["tool_name"], case["tool_input"], cwd, policy).reason else "allow"
        name = str(case.get("category") or case.get("tag") or "all")
        kind = "env" if name.startswith("env") else "rm" if case["expect"] == "block" else "look-alikes"
        if case["expect"] == "allow":
            kind = "all"
        groups[f"{case['expect']} {kind}"].append(got == case["expect"])
    return {name: (sum(found), len(found)) for name, found in sorted(groups.items())}


def medians(commands: dict[str, tuple[list[str], list[bytes]]], runs: int) -> dict[str, float]:
    """Return the median milliseconds of each command over its inputs, taken in turns."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    environ = {**os.environ, "CLAUDE_PROJECT_DIR": "/workspace/project"}
    for turn in range(runs):
        for name, (command, inputs) in commands.items():
            start = time.perf_counter()
            subprocess.run(
                command, input=inputs[turn % len(inputs)], capture_output=True, check=False, env=environ
            )
            times[name].append((time.perf_counter() - start) * 1000)
    return {name: statistics.median(found) for name, found in times.items()}


def main() -> int:
    """Measure, print and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", action="append", default=[], type=Path, help="a further corpus to score")
    parser.add_argument("--peer", help="another guard's command, timed beside ours")
    parser.add_argument("--runs", type=int, default=60)
    options = parser.parse_args()
    missed = []
    for path in [OWN, *options.corpus]:
        print(f"{path.name}")
        for name, (right, total) in score(path).items():
            print(f"  {name:12} {right:5} of {total:5}  {100 * right / total:6.2f} %")
            if path == OWN and right / total < 0.98:
                missed.append(f"{path.name}: {name}")
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "hooks.json"
        config.write_text(json.dumps({"journal_dir": directory, "policy": ""}))
        guard = [*PYTHON, str(HOOKS / "pre_tool_use.py"), "--config", str(config)]
        subprocess.run([*PYTHON, "-m", "compileall", "-q", str(HOOKS)], check=True)
        inputs = [hook_input("Bash", {"command": command}) for command in EVERYDAY]
        commands = {"python3 -I -S -c pass": ([*PYTHON, "-c", "pass"], [b""]), "the guard": (guard, inputs)}
        if options.peer:
            commands["the other guard"] = (shlex.split(options.peer), inputs)
        found = medians(commands, options.runs)
        empty, ours = found["python3 -I -S -c pass"], found["the guard"]
        print("median of one call on an everyday command")
        for name, median in found.items():
            print(f"  {name:24} {median:7.1f} ms  {median / empty:5.2f} x")
        if ours > TIMES_EMPTY * empty:
            missed.append(f"one call costs {ours / empty:.2f} empty interpreters")
        if options.peer and ours > SHARE_OF_PEER * found["the other guard"]:
            missed.append("one call costs more than a third of the other guard's")
        print("worst cases")
        for name, command in LARGE.items():
            median = medians({name: (guard, [hook_input("Bash", {"command": command})])}, 5)[name]
            print(f"  {name:28} {len(command):7} bytes {median:7.1f} ms")
            if median > WORST:
                missed.append(f"{name}: {median:.0f} ms")
    for problem in missed:
        print(f"missed: {problem}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
