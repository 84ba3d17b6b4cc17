"""What the client of today says is recorded, repeated and played back: it counts once, as scripted."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from claude_code_exporter.receiver import PROTOBUF, decode_json, decode_protobuf, inflate
from utils import journal
from utils.meter.ledger import Ledger, Options

from tests.support.claude import Developer, StandIn
from tests.support.fleet import Round
from tests.support.machine import eventually
from tests.support.plays import docker_host, play
from tests.support.story import Call, Turn, bash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.support.fleet import Fleet
    from tests.support.machine import Machine
    from tests.support.story import Key, Numbers, Script

pytestmark = pytest.mark.thorough

PORT = 4399
SECRET = "canary-93aa17"
TELEMETRY = "/etc/claude-code/managed-settings.d/40-observability-telemetry.json"
HOOKS = "/etc/claude-code/managed-settings.d/50-observability-hooks.json"
NOTE = 'printf "%s\\\\n" "$(cat)" >>"$HOME/hooks.jsonl"'
TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
PROTOCOLS = tuple(f"OTEL_EXPORTER_OTLP{signal}_PROTOCOL" for signal in ("", "_METRICS", "_LOGS"))
DIALECTS: Mapping[str, Mapping[str, str]] = {
    "delta": {},
    "cumulative": {TEMPORALITY: "cumulative", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"},
    "protobuf": dict.fromkeys(PROTOCOLS, "http/protobuf"),
}
# What the inventory says of a fleet that keeps everything, in a collector of its own.
KEPT = {
    "claude_telemetry_mode": "otlp",
    "claude_telemetry_otlp_endpoint": f"http://127.0.0.1:{PORT}/kept",
    "claude_telemetry_otlp_protocol": "http/protobuf",
    "claude_telemetry_otlp_temporality": "cumulative",
    "claude_telemetry_log_user_prompts": True,
    "claude_telemetry_log_tool_details": True,
    "claude_telemetry_log_tool_content": True,
}


class Recorded(NamedTuple):
    """One session as the client told of it: the inputs of its hooks and its exports."""

    project: str
    script: Script
    hooks: Sequence[Mapping[str, Any]]
    exports: Sequence[Mapping[str, str]]

    def bodies(self, signal: str) -> list[tuple[bytes, Any]]:
        """Return the exports of a signal: what was sent, unpacked, and what it says."""
        found = []
        for export in self.exports:
            if export["path"] == f"/v1/{signal}":
                body = inflate(base64.b64decode(export["body"]), export["encoding"])
                says = decode_protobuf(signal, body) if export["type"] == PROTOBUF else decode_json(body)
                found.append((body, says))
        return found

    def said(self) -> bytes:
        """Return everything that was exported."""
        return b"".join(body for signal in ("metrics", "logs") for body, _ in self.bodies(signal))

    def temporalities(self) -> set[int]:
        """Return the temporalities of its sums."""
        return {
            metric["sum"]["aggregationTemporality"]
            for _, says in self.bodies("metrics")
            for resource in says["resourceMetrics"]
            for scope in resource["scopeMetrics"]
            for metric in scope["metrics"]
        }


def script_in(project: str) -> Script:
    """Return a session that takes longer than an interval of the client's exports of metrics."""
    note = f"{project}/{SECRET}.txt"
    look = Call("Grep", {"pattern": SECRET, "path": project})
    return (
        Turn((bash(f"echo {SECRET}"),)),
        Turn((Call("Write", {"file_path": note, "content": f"{SECRET}\n"}),)),
        Turn((look, Call("Glob", {"pattern": "**/*.txt"})), delay=7),
        Turn((Call("Read", {"file_path": f"{project}/no-such-file"}, "failure"),)),
        Turn(text=f"All of {SECRET} done."),
    )


def kept_environment(directory: Path, host: Machine) -> dict[str, str]:
    """Return the environment that the role writes for a fleet that keeps content, without installing it."""
    path = f"/tmp/kept-{directory.name}"
    telemetry = {**KEPT, "claude_telemetry_settings_dir": path}
    ends = play(directory, {host.name: docker_host(host, **telemetry)}, roles=["claude_telemetry"])
    assert not ends[host.name].failure
    settings: dict[str, dict[str, str]] = json.loads(
        host.run("cat", f"{path}/{TELEMETRY.rpartition('/')[2]}")
    )
    return settings["env"]


def environments(fleet: Fleet, directory: Path) -> dict[str, dict[str, str]]:
    """Return the environment of each recording: as deployed, in other dialects, and with content."""
    deployed = json.loads(fleet.developers["dev-a"].run("cat", TELEMETRY))["env"]
    found = {"kept": kept_environment(directory, fleet.monitor)}
    for name, changes in DIALECTS.items():
        endpoint = f"http://127.0.0.1:{PORT}/{name}"
        signals = {
            f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT": f"{endpoint}/v1/{signal}"
            for signal in ("metrics", "logs")
        }
        found[name] = {**deployed, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **signals, **changes}
    return found


@pytest.fixture(scope="module")
def played(fleet: Fleet) -> Round:
    """Begin a round whose sessions are played back on dev-a."""
    return Round.of(fleet, "replayed")


@pytest.fixture(scope="module")
def recorded(fleet: Fleet, played: Round, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recorded]:
    """Record a session in each dialect, on the monitoring host, where nothing of ours is installed."""
    host, directory = fleet.monitor, f"/tmp/recorded-{fleet.run}"
    serve = f"setsid python3 /usr/local/share/ccpo-tests/otlp_recorder.py {PORT} {directory}"
    host.run("sh", "-c", f"{serve} >/tmp/recorder.log 2>&1 </dev/null & echo $! >/tmp/recorder.pid")
    try:
        probe = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{PORT}/', timeout=2)"
        attempt = ("sh", "-c", 'python3 -c "$0" 2>/dev/null && echo yes || true', probe)
        assert eventually(lambda: host.run(*attempt), accept=bool, seconds=30)
        events = json.loads(fleet.developers["dev-a"].run("cat", HOOKS))["hooks"]
        note = {"hooks": [{"type": "command", "command": NOTE}]}
        sessions, scripts = {}, {}
        for name, env in environments(fleet, tmp_path_factory.mktemp("play")).items():
            home, project = f"{directory}/{name}", played.project(name)
            settings = json.dumps({"hooks": {event: [note] for event in events}})
            host.write(f"{home}/.claude/settings.json", settings)
            scripts[name] = script_in(f"{home}/{project}")
            key = f"{project}-recorded"
            StandIn(host).script(key, scripts[name])
            developer = Developer(host, "root", home=home, env=env)
            sessions[name] = developer.start(key, project=project, prompt=SECRET)
        for session in sessions.values():
            session.account()
        return {
            name: Recorded(
                played.project(name),
                script,
                lines_of(host, f"{directory}/{name}/hooks.jsonl"),
                lines_of(host, f"{directory}/{name}.jsonl"),
            )
            for name, script in scripts.items()
        }
    finally:
        host.run("sh", "-c", "kill $(cat /tmp/recorder.pid)")


def lines_of(host: Machine, path: str) -> list[dict[str, Any]]:
    """Return what each line of a file says."""
    return [json.loads(line) for line in host.run("cat", path).splitlines()]


def counted(ledger: Ledger, who: Key, *, now: float) -> dict[str, Counter[Key]]:
    """Return the sums of a ledger in the terms of the script's."""
    wanted = {
        "claude_code_hook_events_total": ("events", ("event",), 1),
        "claude_code_tool_usage_total": ("calls", ("tool", "outcome"), 1),
        "claude_code_sessions_total": ("sessions", ("start_type",), 1),
        "claude_code_tokens_total": ("tokens", ("type",), 1),
        "claude_code_spend_usd_total": ("micros", (), 1_000_000),
        "claude_code_request_cost_usd_total": ("requested", (), 1_000_000),
        "claude_code_tool_cost_usd_total": ("by tool", (), 1_000_000),
        "claude_code_response_time_seconds_count": ("responses", (), 1),
    }
    sums: dict[str, Counter[Key]] = {kind: Counter() for kind, _, _ in wanted.values()}
    for family in ledger.families(now=now):
        for name, labels, value in family.samples:
            if name in wanted:
                kind, shown, scale = wanted[name]
                assert labels["user"] == who[1]
                assert labels["project"] == who[2]
                sums[kind][*who, *(labels[label] for label in shown)] += round(value * scale)
    return {kind: +counts for kind, counts in sums.items()}


def expected(numbers: Numbers) -> dict[str, Counter[Key]]:
    """Return the script's own sums under the same names."""
    names = ("events", "calls", "sessions", "tokens", "micros", "responses")
    sums = {name: getattr(numbers, name) for name in names}
    return {**sums, "requested": numbers.micros, "by tool": numbers.micros}


def test_the_recordings_are_in_both_temporalities_packed_and_in_both_encodings(
    recorded: Mapping[str, Recorded],
) -> None:
    assert {name: session.temporalities() for name, session in recorded.items()} == {
        "kept": {2},
        "delta": {1},
        "cumulative": {2},
        "protobuf": {1},
    }
    types = {name: {export["type"] for export in session.exports} for name, session in recorded.items()}
    assert types["delta"] == types["cumulative"] == {"application/json"}
    assert types["protobuf"] == types["kept"] == {PROTOBUF}
    assert {export["encoding"] for export in recorded["cumulative"].exports} == {"gzip"}
    assert all(len(session.bodies("metrics")) >= 2 for session in recorded.values())


@pytest.mark.parametrize("name", ["kept", *DIALECTS])
def test_a_recording_in_any_order_and_repeated_adds_up_to_its_script(
    fleet: Fleet, recorded: Mapping[str, Recorded], name: str, tmp_path: Path
) -> None:
    session, who = recorded[name], ("host", "dev", recorded[name].project)
    numbers = Round.of(fleet, "expected").numbers
    numbers.add(who, session.script)
    now = 1_900_000_000.0
    lines = [
        json.dumps(journal.record(hook["hook_event_name"], hook, {}, now=now + number / 10)).encode() + b"\n"
        for number, hook in enumerate(session.hooks)
    ]
    said = [(signal, *body) for signal in ("metrics", "logs") for body in session.bodies(signal)]
    for seed in range(6):
        chance = random.Random(seed)  # noqa: S311
        ledger = Ledger.open(tmp_path / f"{seed}.sqlite", options=Options(), now=now)
        left, exports = list(lines), said * 3
        chance.shuffle(exports)
        while left or exports:
            if exports and chance.random() < 0.4:
                signal, body, says = exports.pop()
                take = ledger.otlp_metrics if signal == "metrics" else ledger.otlp_logs
                assert not take(says, digest=hashlib.sha256(body).digest(), now=now).rejected
            elif left:
                at = ledger.offset(owner=1, journal="j")
                chunk = left.pop(0)
                ledger.journal(owner=1, user="dev", journal="j", offset=at, chunk=chunk, now=now)
        ledger.tick(now=now + 20, boot_id="boot")
        assert counted(ledger, who, now=now + 20) == expected(numbers)
        ledger.close()


def test_played_back_twice_on_a_host_prometheus_has_it_once(
    played: Round, recorded: Mapping[str, Recorded]
) -> None:
    host = played.fleet.developers["dev-a"]
    for session in recorded.values():
        orders = json.dumps({"hooks": session.hooks, "exports": session.exports, "times": 2})
        play_back = ("python3", "/usr/local/share/ccpo-tests/play_back.py")
        answers = json.loads(host.run(*play_back, user="alice", stdin=orders, seconds=120))
        assert [status for status, _ in answers] == [200] * 2 * len(session.exports)
        played.numbers.add(("dev-a", "alice", session.project), session.script)
    played.assert_exact()


def test_a_host_without_the_classes_of_protobuf_says_which_setting_helps(
    fleet: Fleet, recorded: Mapping[str, Recorded]
) -> None:
    orders = json.dumps({"hooks": [], "exports": recorded["protobuf"].exports, "times": 1})
    play_back = ("python3", "/usr/local/share/ccpo-tests/play_back.py")
    answers = json.loads(fleet.developers["dev-b"].run(*play_back, user="alice", stdin=orders))
    assert {status for status, _ in answers} == {415}
    assert all("set OTEL_EXPORTER_OTLP_PROTOCOL=http/json" in text for _, text in answers)


def test_content_leaves_the_client_only_where_the_inventory_says_so_and_stays_in_no_store_of_ours(
    fleet: Fleet, recorded: Mapping[str, Recorded]
) -> None:
    told = {name: SECRET.encode() in session.said() for name, session in recorded.items()}
    assert told == {"kept": True, "delta": False, "cumulative": False, "protobuf": False}
    search = 'grep -rl -e "$0" "$1" || true; journalctl --output cat | grep -c -e "$0" || true'
    store = "/var/lib/claude-code-observability"
    assert fleet.developers["dev-a"].run("sh", "-c", search, SECRET, store) == "0\n"
