"""Whose settings register the hooks, seen by the real client: everybody's, a user's, or a project's."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.claude import Developer, StandIn
from tests.support.plays import CLIENT, WITH_CLIENT, container, docker_host, play
from tests.support.story import Turn, bash

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.support.machine import Machine
    from tests.support.plays import Played

PREPARE = "useradd --create-home ada; useradd --create-home bob; install -d -o ada -g ada /srv/shop"
ADAS = "/home/ada/.claude/settings.json"
SHOPS = "/srv/shop/.claude/settings.json"
JOURNALS = "/var/lib/claude-code-observability/journal"
DROP_IN = "/etc/claude-code/managed-settings.d/50-observability-hooks.json"
TEXT = """{
    "permissions": { "allow": ["Bash(ls:*)"] },
    "hooks": {
        "PreToolUse": [ {"matcher": "Bash", "hooks": [{"type": "command", "command": "echo é >>~/seen"}]} ],
        "Stop": []
    },
    "env": {"SECRET": "CANARY-3b"}}
"""


@dataclass
class Host:
    """A developer's host: a container, and what its plays said."""

    machine: Machine
    directory: Path
    rounds: int = 0
    seen: dict[str, int] = field(default_factory=dict)

    def play(self, *arguments: str, roles: Sequence[str] = ("claude_hooks",), **variables: Any) -> Played:
        scoped = {f"claude_hooks_{name}": value for name, value in variables.items()}
        hosts = {"dev": docker_host(self.machine, **scoped)}
        return play(self.directory, hosts, *arguments, roles=roles)["dev"]

    def read(self, path: str) -> str:
        return self.machine.run("sh", "-c", 'test ! -e "$0" || cat "$0"', path)

    def session(self, user: str, project: str) -> list[tuple[str, str]]:
        """Play a session with one forbidden call and one that is none; return its events and reasons."""
        self.rounds += 1
        key = f"scope-{self.rounds}"
        victim = f"/home/{user}/victim"
        self.machine.run("mkdir", "-p", victim, user=user)
        calls = (bash(f"rm -rf {victim}"), bash("echo hello"))
        StandIn(self.machine).script(key, (Turn(calls=calls[:1]), Turn(calls=calls[1:]), Turn(text="done")))
        home = project.rpartition("/")[0]
        someone = Developer(self.machine, user, home=home, env={"HOME": f"/home/{user}"})
        account = someone.start(key, project=project.rpartition("/")[2]).account()
        lines = self.machine.run("sh", "-c", f"cat {JOURNALS}/*.jsonl 2>/dev/null || true").splitlines()
        records = [json.loads(line) for line in lines]
        return [(line["e"], line.get("r", "")) for line in records if line.get("s") == account.session_id]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    assert CLIENT.exists(), "the client is missing: run ./test ansible, which fetches it"
    with container("ccpo-debian12-systemd", systemd=False, mounts=WITH_CLIENT) as machine:
        machine.run("sh", "-c", PREPARE)
        StandIn(machine).start()
        machine.write(ADAS, TEXT, user="ada")
        yield Host(machine, tmp_path_factory.mktemp("scopes"))


GUARDED = [
    ("SessionStart", ""),
    ("UserPromptSubmit", ""),
    ("PreToolUse", "rm_rf"),
    ("PreToolUse", ""),
    ("PostToolUse", ""),
    ("Stop", ""),
    ("SessionEnd", ""),
]


def test_the_hooks_follow_the_scope_and_leave_every_other_settings_as_they_were(host: Host) -> None:
    ada = {"scope": "user", "users": ["ada"]}
    assert host.play(**ada).failure == ""
    merged = host.read(ADAS)
    assert merged.startswith(TEXT.partition(" ],\n")[0])
    assert host.read(f"{ADAS}.before-claude-code-observability") == TEXT
    assert host.read(DROP_IN) == ""
    again = host.play("--check", "--diff", **ada)
    assert (again.failure, again.changes) == ("", [])
    assert host.session("ada", "/srv/shop") == GUARDED
    assert host.read("/home/ada/seen") == "é\né\n"
    assert host.session("bob", "/home/bob/blog") == []

    assert host.play(scope="project", projects=["/srv/shop"]).failure == ""
    assert host.read(ADAS) == TEXT
    assert host.machine.run("stat", "-c", "%U %a", SHOPS).split() == ["ada", "600"]
    assert host.session("ada", "/srv/shop") == GUARDED
    assert host.session("ada", "/home/ada/other") == []

    assert host.play(scope="managed").failure == ""
    assert "before-claude" not in host.machine.run("ls", "-A", "/srv/shop", "/home/ada/.claude")
    assert host.read(SHOPS) == ""
    assert host.read(ADAS) == TEXT
    assert host.session("bob", "/home/bob/blog") == GUARDED


BROKEN = "/home/bob/.claude/settings.json: line 2, column 11: it is no JSON"
FORBIDDEN = "allowManagedHooksOnly is set. Take that out, or set claude_hooks_scope to managed."
# Variables, what managed settings of somebody else say, and the sentence that the play ends with, if it must.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "broken": ({"scope": "user", "users": ["ada", "bob"]}, {}, BROKEN),
    "nobody": (
        {"scope": "user"},
        {},
        "claude_hooks_scope is user, so claude_hooks_users must name the users",
    ),
    "no-path": ({"scope": "project", "projects": ["shop"]}, {}, "must hold full paths, and shop is none"),
    "no-user": (
        {"scope": "user", "users": ["eve"]},
        {},
        "This host has no user eve, whose settings were named.",
    ),
    "deny-rules": (
        {"scope": "user", "users": ["ada"], "deny_rules": True},
        {},
        "claude_hooks_deny_rules needs",
    ),
    "only-managed": ({"scope": "user", "users": ["ada"]}, {"allowManagedHooksOnly": True}, FORBIDDEN),
    "disabled": (
        {},
        {"disableAllHooks": True},
        "managed-settings.json: disableAllHooks is set. Take that out.",
    ),
    "no-voice-key": (
        {"notification_engine": "openai"},
        {},
        "is openai, so set claude_hooks_notification_key or",
    ),
    "log": (
        {"tool_log_path": "/var/log/x"},
        {},
        "claude_hooks_tool_log_path must begin with ~/ and end in .jsonl",
    ),
    "all-is-well": ({}, {"allowManagedHooksOnly": True}, ""),
}


def test_what_cannot_work_is_named_before_anything_is_changed(host: Host) -> None:
    host.machine.write("/home/bob/.claude/settings.json", '{\n  "a": 1, // why\n}\n', user="bob")
    hosts = {}
    for name, (variables, policy, _) in CASES.items():
        host.machine.write(f"/opt/{name}/managed-settings.json", json.dumps(policy))
        scoped = {f"claude_hooks_{key}": value for key, value in variables.items()}
        settings_dir = f"/opt/{name}/managed-settings.d"
        hosts[name] = docker_host(host.machine, **scoped, claude_hooks_settings_dir=settings_dir)
    ended = play(host.directory, hosts, "--check", roles=["claude_hooks"])
    assert {name: ended[name].failure for name in CASES if CASES[name][2] not in ended[name].failure} == {}
    assert [name for name in CASES if not ended[name].failure] == ["all-is-well"]
    assert [name for name in CASES if ended[name].changes] == ["all-is-well"]
    assert host.read(ADAS) == TEXT


OTHERS = "/etc/claude-code/managed-settings.d/90-others.json"
PROJECTS = "/srv/shop/.claude/settings.local.json"
# Whose file, what it says, and what a deploy then warns of: what overrides hooks first, then telemetry.
OVERRIDES: list[tuple[str, str, dict[str, Any], list[str]]] = [
    (
        "ada",
        "/home/ada/.claude/remote-settings.json",
        {"model": "opus"},
        ["server-managed settings win for ada, and files of ours are not read (managed-source"],
    ),
    (
        "bob",
        "/home/bob/.claude/settings.json",
        {"disableAllHooks": True, "env": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://other:4318"}},
        [
            "disableAllHooks is set (hooks-disabled-by-user",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set, and managed settings leave it open (telemetry-users",
        ],
    ),
    (
        "root",
        OTHERS,
        {
            "env": {
                "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://other:4318/v1/logs",
                "OTEL_LOG_USER_PROMPTS": "1",
                "OTEL_METRIC_EXPORT_INTERVAL": "1",
            }
        },
        [
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT is set to another value (telemetry-endpoint",
            "OTEL_LOG_USER_PROMPTS is set to another value (telemetry-content",
            "OTEL_METRIC_EXPORT_INTERVAL is set to another value (telemetry-environment",
        ],
    ),
    (
        "ada",
        PROJECTS,
        {"env": {"OTEL_METRICS_EXPORTER": "none"}},
        ["OTEL_METRICS_EXPORTER is set, which Claude Code ignores in a project (telemetry-projects"],
    ),
]


def test_what_overrides_ours_is_said_with_its_file(host: Host) -> None:
    for user, path, values, _ in OVERRIDES:
        host.machine.write(path, json.dumps(values), user=user)
    try:
        roles = ["claude_hooks", "claude_telemetry"]
        tags = ("--tags", "preflight,claude_telemetry")
        ended = host.play(*tags, roles=roles, scope="project", projects=["/srv/shop"])
    finally:
        host.machine.run("rm", *(path for _, path, _, _ in OVERRIDES))
    told = [
        f"WARNING: {path}: {each} in docs/doctor.md)" for _, path, _, texts in OVERRIDES for each in texts
    ]
    assert ended.failure == ""
    assert sorted(ended.warnings) == sorted(told)
