"""A synthetic day of six developers in two teams: real ledgers of their hosts, filled with made-up sessions.

`python3 -m dashboards.day DIRECTORY` writes there what a Prometheus would have scraped (in OpenMetrics),
imports it as blocks, adds what the rules of files/rules would have recorded, starts a Prometheus on it and
draws all dashboards into docs/images. It needs promtool and prometheus in PATH, and takes two minutes.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from dashboards import illustrate
from dashboards.render import BOARDS, TARGET

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "files" / "claude" / "hooks"))

from utils.meter.ledger import Ledger, Options  # noqa: E402 -- the bundle is no installed package

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

END = 1_793_727_000
"""Tuesday, 3 November 2026, 17:30 UTC, in seconds since the epoch."""
SPAN = 86_400
STEP = 300
"""Seconds between two samples: a Prometheus would have twenty times as many, and the same picture."""
BLOCKED = 0.02
"""Share of calls of Bash and Read that the guard stops."""
MODELS = {"claude-opus-5-5": (5.0, 25.0), "claude-haiku-4-5": (1.0, 5.0)}
"""US dollars for a million tokens of input and of output."""
CACHE_READ, CACHE_WRITE = 0.1, 1.25
TOOLS = {"Bash": 30, "Read": 34, "Edit": 18, "Grep": 10, "Write": 5, "Agent": 3}
TEAMS = {"platform": ("4711", 150, 2500), "data": ("4712", 80, 1200)}
"""A team's cost centre and what it may spend in a day and in a month, in US dollars."""


@dataclass
class Person:
    """One developer on a host of her own."""

    host: str
    user: str
    team: str
    projects: tuple[str, ...]
    busy: float
    """Sessions in an hour of work."""
    ledger: Ledger
    lines: list[tuple[float, bytes]] = field(default_factory=list)
    exports: list[tuple[float, dict[str, Any]]] = field(default_factory=list)


PEOPLE = (
    ("dev-01", "ada", "platform", ("billing", "gateway"), 4.5),
    ("dev-02", "grace", "platform", ("gateway",), 3.2),
    ("dev-03", "linus", "platform", ("terraform", "billing"), 2.2),
    ("dev-04", "edsger", "data", ("warehouse",), 4.0),
    ("dev-05", "barbara", "data", ("warehouse", "notebooks"), 2.8),
    ("dev-06", "radia", "data", ("notebooks",), 1.8),
)


def _attributes(values: Mapping[str, object]) -> list[dict[str, Any]]:
    kinds = {int: "intValue", float: "doubleValue", str: "stringValue"}
    return [{"key": key, "value": {kinds[type(value)]: value}} for key, value in values.items()]


class Session:
    """One session as it goes on: `at` is its clock, in seconds since the epoch."""

    def __init__(self, person: Person, dice: random.Random, start: float) -> None:
        self.person, self.dice, self.at = person, dice, start
        self.name = f"{dice.getrandbits(128):032x}"
        self.project = dice.choice(person.projects)
        self.calls = 0

    def hook(self, event: str, **fields: object) -> None:
        """Let a hook append its line."""
        record = {"t": self.at, "e": event, "s": self.name, "p": self.project, **fields}
        self.person.lines.append((self.at, json.dumps(record).encode() + b"\n"))

    def event(self, name: str, **values: object) -> None:
        """Let the client export an event."""
        record = {
            "timeUnixNano": str(int(self.at * 1e9)),
            "body": {"stringValue": f"claude_code.{name}"},
            "attributes": _attributes({"session.id": self.name, "event.name": name, **values}),
        }
        self.person.exports.append((self.at, {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}))

    def metric(self, name: str, value: float, **values: object) -> None:
        """Let the client export one delta of a metric."""
        point = {
            "attributes": _attributes({"session.id": self.name, **values}),
            "startTimeUnixNano": "1",
            "timeUnixNano": str(int(self.at * 1e9)),
            "asDouble": float(value),
        }
        body = {
            "name": f"claude_code.{name}",
            "sum": {"aggregationTemporality": 1, "dataPoints": [point]},
        }
        self.person.exports.append((self.at, {"resourceMetrics": [{"scopeMetrics": [{"metrics": [body]}]}]}))

    def play(self) -> None:
        """Work for a while and end."""
        dice = self.dice
        self.hook("SessionStart", x="startup")
        self.metric("session.count", 1, start_type="fresh")
        for _ in range(dice.randint(1, 6)):
            self.at += dice.expovariate(1 / 150)
            self.hook("UserPromptSubmit")
            self.metric("active_time.total", round(dice.uniform(5, 40), 1), type="user")
            for _ in range(dice.randint(2, 12)):
                self.turn()
            self.hook("Stop")
            if dice.random() < 0.25:
                self.metric("commit.count", 1)
            if dice.random() < 0.06:
                self.metric("pull_request.count", 1)
            if dice.random() < 0.1:
                self.hook("PreCompact", x="auto")
        self.at += dice.uniform(20, 200)
        self.hook("SessionEnd", x="other")

    def turn(self) -> None:
        """Ask the model once, and run the tool that it calls."""
        dice = self.dice
        model = "claude-haiku-4-5" if dice.random() < 0.2 else "claude-opus-5-5"
        self.calls += 1
        request = f"req_{self.name[:12]}{self.calls}"
        took = dice.lognormvariate(1.6, 0.55)
        self.at += took
        if dice.random() < 0.006:
            self.event(
                "api_error", model=model, status_code=529, attempt=11, duration_ms=9000, request_id=request
            )
            return
        tokens = {
            "input": dice.randint(20, 900),
            "output": int(dice.lognormvariate(5.6, 0.8)),
            "cacheRead": dice.randint(8_000, 90_000),
            "cacheCreation": dice.randint(200, 5_000),
        }
        price, price_out = MODELS[model]
        cost = (
            price
            * (tokens["input"] + CACHE_READ * tokens["cacheRead"] + CACHE_WRITE * tokens["cacheCreation"])
            + price_out * tokens["output"]
        ) / 1e6
        self.event(
            "api_request",
            model=model,
            input_tokens=tokens["input"],
            output_tokens=tokens["output"],
            cache_read_tokens=tokens["cacheRead"],
            cache_creation_tokens=tokens["cacheCreation"],
            cost_usd=cost,
            duration_ms=int(took * 1000),
            ttft_ms=int(took * 1000 * dice.uniform(0.1, 0.4)),
            request_id=request,
            query_source="main",
        )
        self.metric("cost.usage", cost, model=model, query_source="main")
        for kind, count in tokens.items():
            self.metric("token.usage", count, model=model, query_source="main", type=kind)
        self.metric("active_time.total", round(took, 1), type="cli")
        self.call(request)

    def call(self, request: str) -> None:
        """Run one tool, or see it blocked."""
        dice = self.dice
        tool = dice.choices(list(TOOLS), list(TOOLS.values()))[0]
        call = {"k": tool, "i": f"toolu_{request}"}
        if tool in {"Bash", "Read"} and dice.random() < BLOCKED:
            self.hook("PreToolUse", **call, r="rm_rf" if tool == "Bash" else "env_file")
            return
        self.event(
            "tool_decision",
            decision="accept",
            source="config",
            tool_name=tool,
            tool_use_id=call["i"],
            request_id=request,
        )
        if tool in {"Bash", "Edit"} and dice.random() < 0.12:
            self.hook("PermissionRequest", **call)
            self.at += dice.expovariate(1 / 25)
        self.hook("PreToolUse", **call)
        took = dice.lognormvariate({"Bash": 0.4, "Agent": 3.5}.get(tool, -3.0), 1.0)
        self.at += took
        failed = dice.random() < 0.05
        self.hook("PostToolUseFailure" if failed else "PostToolUse", **call, d=int(took * 1000))
        for event, delay in (("PreToolUse", 41), ("PostToolUse", 21)):
            self.event(
                "hook_execution_complete",
                hook_event=event,
                num_blocking="0",
                total_duration_ms=str(int(delay * dice.lognormvariate(0, 0.2))),
            )
        if tool in {"Edit", "Write"} and not failed:
            self.metric("lines_of_code.count", dice.randint(1, 60), type="added")
            self.metric("lines_of_code.count", dice.randint(0, 30), type="removed")
            self.metric(
                "code_edit_tool.decision",
                1,
                tool_name=tool,
                decision="accept" if dice.random() < 0.93 else "reject",
                source="user_temporary",
            )


def _plan(person: Person, dice: random.Random) -> None:
    """Let a person work from about eight to about six o'clock, with a break at noon."""
    for midnight in range(END - END % SPAN - SPAN, END, SPAN):
        at = midnight + dice.gauss(8.2, 0.4) * 3600
        evening = midnight + dice.gauss(18.2, 0.5) * 3600
        while (at := at + dice.expovariate(person.busy / 3600)) < evening:
            hour = (at - midnight) / 3600
            if not 12 < hour < 12.8:
                session = Session(person, dice, at)
                session.play()
                at = session.at
    person.lines.sort(key=lambda pair: pair[0])
    person.exports.sort(key=lambda pair: pair[0])


def _catch_up(person: Person, now: float) -> None:
    """Let the host's exporter take in what happened until `now`."""
    due = [line for at, line in person.lines if at <= now]
    person.lines = person.lines[len(due) :]
    offset = person.ledger.offset(owner=1000, journal="0" * 32)
    head = json.dumps({"journal": "0" * 32, "v": 1}).encode() + b"\n" if offset == 0 else b""
    chunk = head + b"".join(due)
    person.ledger.journal(owner=1000, user=person.user, journal="0" * 32, offset=offset, chunk=chunk, now=now)
    while person.exports and person.exports[0][0] <= now:
        _, payload = person.exports.pop(0)
        digest = hashlib.sha256(json.dumps(payload).encode()).digest()
        receive = person.ledger.otlp_logs if "resourceLogs" in payload else person.ledger.otlp_metrics
        receive(payload, digest=digest, now=now)
    person.ledger.tick(now=now, boot_id="boot")


def _samples(person: Person, dice: random.Random, now: int) -> Iterator[str]:
    """Yield what a Prometheus that scrapes the Pushgateway sees of one host at `now`."""
    place = f'instance="{person.host}",job="claude_code"'
    for family in person.ledger.families(now=now):
        for name, labels, value in family.samples:
            pairs = "".join(f'{key}="{text}",' for key, text in labels.items())
            yield f"{name}{{{pairs}{place}}} {value} {now}\n"
    center = TEAMS[person.team][0]
    place = f'team="{person.team}",cost_center="{center}",{place}'
    yield f'claude_code:push_age_seconds{{instance="{person.host}"}} {dice.randint(1, 14)} {now}\n'
    yield f"claude_code_guard_effective{{{place}}} 1 {now}\n"
    yield f"claude_code_exporter_journal_lag_seconds{{{place}}} {dice.uniform(0, 0.9):.2f} {now}\n"
    yield f"claude_code_exporter_ledger_bytes{{{place}}} {person.ledger.size()} {now}\n"
    yield f'claude_code_exporter_build_info{{version="1.0.0",python="3.13",{place}}} 1 {now}\n'
    yield f'claude_code_bundle_info{{version="1.0.0",hash="5f1d3c9a",{place}}} 1 {now}\n'
    yield f"claude_code_canary_timestamp_seconds{{{place}}} {now - 60} {now}\n"


def write_samples(directory: Path) -> None:
    """Play the day and write it as OpenMetrics."""
    dice = random.Random(7)  # noqa: S311 -- the same day each time
    with ExitStack() as closing, (directory / "samples.txt").open("w", encoding="utf-8") as out:
        people = []
        for host, user, team, projects, busy in PEOPLE:
            labels = {"team": team, "cost_center": TEAMS[team][0]}
            ledger = Ledger.open(
                directory / f"{host}.sqlite", options=Options(constant_labels=labels), now=END - SPAN - STEP
            )
            closing.callback(ledger.close)
            people.append(Person(host, user, team, projects, busy, ledger))
            _plan(people[-1], dice)
        for now in range(END - SPAN - 2 * STEP, END + 1, STEP):
            for person in people:
                _catch_up(person, now)
                out.writelines(_samples(person, dice, now))
            for job, instance in (("prometheus", "localhost:9090"), ("pushgateway", "localhost:9091")):
                out.write(f'up{{job="{job}",instance="{instance}"}} 1 {now}\n')
            for group, took in (("claude_code_increments", 0.31), ("claude_code_quality", 0.04)):
                place = f'rule_group="{group}",job="prometheus",instance="localhost:9090"'
                took += dice.gauss(0, took / 20)
                out.write(f"prometheus_rule_group_last_duration_seconds{{{place}}} {took:.4f} {now}\n")
                out.write(f"prometheus_rule_group_interval_seconds{{{place}}} 60 {now}\n")
            out.write(f'ALERTS{{alertname="Watchdog",alertstate="firing",severity="none"}} 1 {now}\n')
            sys.stderr.write(f"\r{(now - END + SPAN) // 864} % of the day")
        out.write("# EOF\n")
    sys.stderr.write("\n")


def _rules() -> list[list[dict[str, Any]]]:
    """Return the recording rules, in groups that need only what the groups before them recorded.

    An evaluation that looks back at its own results can't be repeated for the past, so the increments are
    those between two samples of the day.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((ROOT / "files" / "rules").glob("2*.yml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            found |= {rule["record"]: rule for rule in group["rules"] if "record" in rule}
    skipped = {"claude_code:counter:before", "claude_code:counter:seen", "claude_code:host:last_seen"}
    skipped |= {"claude_code:push_age_seconds"} | {
        name for name in found if "past1h" in name or "usual1h" in name
    }
    before = f"claude_code:counter offset {STEP}s"
    found["claude_code:increment"]["expr"] = (
        f"clamp_min(claude_code:counter - {before}, 0) or claude_code:counter and on (instance) {before}"
        " or claude_code:counter * 0"
    )
    forecast = found["claude_code:team_spend_usd:month_forecast"]
    forecast["expr"] = (
        forecast["expr"]
        .replace("1440", str(SPAN // STEP))
        .replace("hour() * 60 - minute()", f"(hour() * 60 + minute()) * 60 / {STEP}")
    )
    budgets = [
        {
            "record": "claude_code_team_budget_usd",
            "expr": f"vector({usd})",
            "labels": {"team": team, "period": period},
        }
        for team, (_, day, month) in TEAMS.items()
        for period, usd in (("day", day), ("month", month))
    ]
    waiting = {name: rule for name, rule in found.items() if name not in skipped}
    levels = [budgets]
    while waiting:
        ready = [
            rule
            for rule in waiting.values()
            if not any(
                re.search(rf"(?<![\w:]){re.escape(name)}(?![\w:])", rule["expr"])
                for name in waiting
                if name != rule["record"]
            )
        ]
        levels.append(ready)
        waiting = {name: rule for name, rule in waiting.items() if rule not in ready}
    return levels


def _server(directory: Path, port: int) -> subprocess.Popen[bytes]:
    (directory / "prometheus.yml").write_text("{}\n", encoding="utf-8")
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/data",
            "--storage.tsdb.retention.time=10y",
            f"--query.lookback-delta={2 * STEP}s",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
    )
    end = time.monotonic() + 60
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5):
                return process
        except (URLError, ConnectionError):
            if time.monotonic() > end or process.poll() is not None:
                process.kill()
                raise
            time.sleep(0.2)


def _record(directory: Path, port: int) -> None:
    for number, level in enumerate(_rules()):
        sys.stderr.write(f"rules {number}: {len(level)}\n")
        path = directory / f"rules-{number}.yml"
        path.write_text(
            yaml.safe_dump({"groups": [{"name": "day", "interval": f"{STEP}s", "rules": level}]}),
            encoding="utf-8",
        )
        server = _server(directory, port)
        try:
            subprocess.run(
                [
                    *(
                        "promtool",
                        "tsdb",
                        "create-blocks-from",
                        "rules",
                        f"--start={END - SPAN - STEP}",
                        f"--end={END}",
                    ),
                    *(
                        f"--url=http://127.0.0.1:{port}",
                        f"--eval-interval={STEP}s",
                        f"--output-dir={directory}/data",
                    ),
                    str(path),
                ],
                check=True,
            )
        finally:
            server.terminate()
            server.wait(timeout=60)


def main(directory: Path) -> None:
    """Make the day in an empty `directory` and draw every dashboard of it."""
    write_samples(directory)
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "samples.txt", "data", "--quiet"],
        cwd=directory,
        check=True,
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    _record(directory, port)
    server = _server(directory, port)
    try:
        answers = illustrate.Answers(f"http://127.0.0.1:{port}", now=float(END), rate="20m")
        for name in BOARDS:
            board = json.loads((TARGET / f"{name}.json").read_text(encoding="utf-8"))
            target = ROOT / "docs" / "images" / f"{name}.svg"
            target.write_text(illustrate.draw(board, answers), encoding="utf-8")
    finally:
        server.terminate()
        server.wait(timeout=60)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
