"""The installed slash commands, asked through the real client, say what the exporter of the host counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.claude import Developer, StandIn
from tests.support.machine import eventually
from tests.support.plays import CLIENT, WITH_CLIENT, container, docker_host, play
from tests.support.story import Turn, bash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.machine import Machine

VICTIM = "/home/ada/victim"
KEY = "sk-CANARY-61d8"
SIZES = 'claude_code_tool_sizes_total{user="ada",project="shop",tool="Bash",direction="output",size="1k"} 1\n'
METRICS = (
    "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9468/metrics', timeout=5).read().decode())"
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Return a developer's host without a monitoring host."""
    assert CLIENT.exists(), "the client is missing: run ./test ansible, which fetches it"
    with container("ccpo-debian12-systemd", systemd=True, mounts=WITH_CLIENT) as machine:
        machine.run("sh", "-c", f"useradd --create-home ada && install -d -o ada {VICTIM}")
        voice = {"claude_hooks_notification_engine": "openai", "claude_hooks_notification_key": KEY}
        scraped = {"claude_exporter_transport": "scrape", "trust_enabled": False}
        hosts = {"dev": docker_host(machine, **voice, **scraped)}
        roles = ["claude_hooks", "claude_exporter", "claude_telemetry"]
        ended = play(tmp_path_factory.mktemp("commands"), hosts, roles=roles)["dev"]
        assert ended.failure == ""
        StandIn(machine).start()
        yield machine


def test_the_commands_say_what_the_session_cost_what_was_blocked_and_that_all_is_well(host: Machine) -> None:
    work = (Turn((bash(f"rm -rf {VICTIM}"),)), Turn((bash("echo hello"),)), Turn())
    ada = Developer(host, "ada")
    StandIn(host).script("work", work)
    account = ada.start("work", project="shop").account()
    counted = f'claude_code_cost_usd{{user="ada",project="shop",session_id="{account.session_id}"'
    page = eventually(
        lambda: host.run("python3", "-c", METRICS),
        accept=lambda text: counted in text and SIZES in text,
        seconds=60,
    )
    assert counted in page
    assert SIZES in page
    answers = {
        "/meter": f"this session   ${account.micros / 1e6:.4f}   {sum(account.tokens.values()):,} tokens",
        "/blocked": f"rm_rf        Bash   rm -rf {VICTIM}",
        "/telemetry": "Telemetry is healthy",
    }
    shown = [Turn(text=f"I show {command}.", seek=answer) for command, answer in answers.items()]
    StandIn(host).script("work", (*work, *shown))
    for command in answers:
        asked = ada.start("work", project="shop", prompt=command, resume=account.session_id)
        assert asked.account().text == f"I show {command}."
    found = [answer["found"] for answer in StandIn(host).served("work")][len(work) :]
    assert dict(zip(answers, found, strict=True)) == dict.fromkeys(answers, True)


def test_the_key_of_the_voice_is_in_one_file_that_others_cannot_read(host: Machine) -> None:
    places = ("/etc", "/usr/local/lib", "/var/lib", "/var/log", "/home")
    holders = host.run("grep", "-rl", "-e", KEY, *places, check=False).split()
    assert holders == ["/etc/claude-code-observability/voice.key"]
    assert host.run("stat", "-c", "%a %U %G", holders[0]).split() == ["640", "root", "root"]
    logged = host.run("sh", "-c", 'journalctl --output cat | grep -c -e "$0" || true', KEY)
    assert logged == "0\n"
