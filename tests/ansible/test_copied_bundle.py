"""The bundle as its README says to use it: copied into a project, where the real client is started."""

from __future__ import annotations

import json
import mmap
import re
from typing import TYPE_CHECKING

import pytest
from utils.meter.contract import CLIENT_EVENTS

from tests.support.claude import Developer, StandIn
from tests.support.plays import CLIENT, ROOT, WITH_CLIENT, container
from tests.support.story import Turn, bash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.machine import Machine

MOUNTS = {**WITH_CLIENT, str(ROOT / "files/claude"): "/srv/clone/files/claude"}
STATE = "/home/ada/.local/state/claude-code-observability"
VICTIM = "/home/ada/victim"


@pytest.fixture(scope="module")
def host() -> Iterator[Machine]:
    """Return a machine with a clone of the repository, on which somebody has done what the README says."""
    assert CLIENT.exists(), "the client is missing: run ./test ansible, which fetches it"
    (copy,) = re.findall(r"^    (cp .*)$", (ROOT / "files/claude/README.md").read_text(), re.MULTILINE)
    with container("ccpo-debian12-systemd", systemd=False, mounts=MOUNTS) as machine:
        machine.run("useradd", "--create-home", "ada")
        StandIn(machine).start()
        machine.run("install", "-d", "-o", "ada", "/home/ada/my-project", VICTIM)
        machine.run("su", "ada", "-c", f"cd /srv/clone && {copy}")
        yield machine


ANSWERS = {
    "/meter": "tools          Bash 2 (1 blocked)",
    "/blocked": f"rm_rf        Bash   rm -rf {VICTIM}",
    "/telemetry": "ok    hooks: this project's copy",
}


def test_a_copy_guards_counts_and_answers(host: Machine) -> None:
    work = (Turn((bash(f"rm -rf {VICTIM}"),)), Turn((bash("echo hello"),)), Turn())
    shown = [Turn(text=f"I show {command}.", seek=answer) for command, answer in ANSWERS.items()]
    StandIn(host).script("copy", (*work, *shown))
    ada = Developer(host, "ada")
    session = ada.start("copy", project="my-project").account().session_id
    assert "victim" in host.run("ls", "/home/ada")
    lines = [json.loads(line) for line in host.run("sh", "-c", f"cat {STATE}/*.jsonl").splitlines()]
    calls = [(line["e"], line.get("r", "")) for line in lines if line.get("k") == "Bash"]
    assert sorted(calls) == [("PostToolUse", ""), ("PreToolUse", ""), ("PreToolUse", "rm_rf")]
    assert {line["p"] for line in lines if "p" in line} == {"my-project"}
    assert [(line["n"], line["o"]) for line in lines if line.get("e") == "PostToolUse"] == [("1k", "1k")]
    for command in ANSWERS:
        asked = ada.start("copy", project="my-project", prompt=command, resume=session)
        assert asked.account().text == f"I show {command}."
    found = [answer["found"] for answer in StandIn(host).served("copy")]
    assert found[len(work) :] == [True] * len(ANSWERS)


def test_every_event_that_the_client_knows_is_in_the_closed_list() -> None:
    with CLIENT.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as program:
        found = re.findall(rb'\["PreToolUse","PostToolUse",[^\]]{200,2000}\]', program)
    longest = max((json.loads(text) for text in found), key=len)
    assert set(longest) == set(CLIENT_EVENTS)
