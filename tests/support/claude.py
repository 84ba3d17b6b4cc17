"""The real client on a host, and the scripted stand-in that it talks to there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.machine import CommandError, eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.machine import Machine, Running
    from tests.support.story import Script

PORT = 8089
DIRECTORY = "/tmp/messages-api"
# Debian's smallest system has no pkill.
KILL = """
import os, pathlib
for process in pathlib.Path("/proc").glob("[0-9]*"):
    if process.stat().st_uid == os.getuid() and (process / "comm").read_text() == "claude\\n":
        os.kill(int(process.name), 9)
"""
TOOLS = ("Bash", "Write", "Read", "Edit", "Grep", "Glob", "Agent")


@dataclass(frozen=True)
class StandIn:
    """The scripted Messages API of one host."""

    machine: Machine

    def start(self) -> None:
        """Start it where it does not run yet, and wait until it answers."""
        self.machine.run("mkdir", "-p", "-m", "0777", DIRECTORY)
        probe = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{PORT}/', timeout=2).read()"
        if self.answers(probe):
            return
        serve = f"setsid python3 /usr/local/share/ccpo-tests/messages_api.py {PORT} {DIRECTORY}"
        self.machine.run("sh", "-c", f"{serve} >{DIRECTORY}/log 2>&1 </dev/null &")
        if not eventually(lambda: self.answers(probe), accept=bool, seconds=20):
            raise CommandError(self.machine.run("cat", f"{DIRECTORY}/log"))

    def answers(self, probe: str) -> bool:
        """Return whether the stand-in answers."""
        try:
            self.machine.run("python3", "-c", probe, seconds=10)
        except CommandError:
            return False
        return True

    def script(self, key: str, script: Script) -> None:
        """Say what the model does in the conversation of that key, and its subagents in theirs."""
        self.machine.write(f"{DIRECTORY}/{key}.json", json.dumps([turn.step() for turn in script]))

    def waiting(self) -> set[str]:
        """Return the keys of the conversations that wait at a gate, or did."""
        listed = self.machine.run("find", DIRECTORY, "-name", "*.waits", "-printf", "%f\n")
        return {name.removesuffix(".waits") for name in listed.split()}

    def go_on(self, *keys: str) -> None:
        """Open the gates of these conversations."""
        self.machine.run("touch", *(f"{DIRECTORY}/{key}.open" for key in keys))

    def served(self, *keys: str) -> list[dict[str, Any]]:
        """Return what was answered in the conversations of these keys, oldest first.

        Raises ``AssertionError`` if anything was asked for that no script foresees.
        """
        lines = self.machine.run("sh", "-c", f"cat {DIRECTORY}/served.jsonl 2>/dev/null || true")
        answers = [json.loads(line) for line in lines.splitlines()]
        unforeseen = [answer for answer in answers if answer["step"] is None]
        assert not unforeseen, unforeseen
        return [answer for answer in answers if answer["key"] in keys]


@dataclass(frozen=True)
class Account:
    """What the client itself says at the end of a run."""

    session_id: str
    text: str
    micros: int
    tokens: dict[str, int]
    denied: list[str]

    @classmethod
    def of(cls, printed: str) -> Account:
        """Read the JSON that ``claude -p --output-format json`` prints."""
        said = json.loads(printed)
        models = said["modelUsage"].values()
        tokens = {
            kind: sum(model[f"{kind}InputTokens"] for model in models)
            for kind in ("cacheRead", "cacheCreation")
        }
        tokens |= {kind: sum(model[f"{kind}Tokens"] for model in models) for kind in ("input", "output")}
        denied = [call["tool_use_id"] for call in said["permission_denials"]]
        micros = round(said["total_cost_usd"] * 1_000_000)
        return cls(said["session_id"], said["result"], micros, tokens, denied)


@dataclass(frozen=True)
class Session:
    """A run of ``claude -p`` that was started."""

    running: Running

    def account(self) -> Account:
        """Wait for its end and return the client's own account."""
        return Account.of(self.running.output())

    def failed(self) -> None:
        """Wait for the end of a session that cannot end well."""
        self.running.output(check=False)
        assert self.running.process.returncode != 0


@dataclass(frozen=True)
class Developer:
    """A person on a host who works with the real client."""

    machine: Machine
    user: str
    home: str = ""
    env: Mapping[str, str] = field(default_factory=dict)

    def project(self, name: str) -> str:
        """Make one of their projects' directories, and return its path."""
        path = f"{self.home or f'/home/{self.user}'}/{name}"
        self.machine.run("mkdir", "-p", path, user=self.user)
        return path

    def start(
        self, key: str, *, project: str, resume: str = "", prompt: str = "go", seconds: float = 240
    ) -> Session:
        """Start ``claude -p`` in a project, in that key's conversation; a slash command stays in front."""
        cwd = self.project(project)
        env = {
            "HOME": cwd.rpartition("/")[0],
            "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{PORT}",
            "ANTHROPIC_API_KEY": "sk-scripted",
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            **self.env,
        }
        said = f"{prompt} [[{key}]]" if prompt.startswith("/") else f"[[{key}]] {prompt}"
        command = ["claude", "-p", said, "--output-format", "json"]
        command += ["--resume", resume] if resume else []
        command += ["--allowedTools", *TOOLS]
        return Session(self.machine.start(command, user=self.user, cwd=cwd, env=env, seconds=seconds))

    def kill_clients(self) -> None:
        """End their clients as a crash would."""
        self.machine.run("python3", "-c", KILL, user=self.user)
