"""The story that each bare machine goes through, and what its numbers must be in the end."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from tests.fresh.machine import Bare
from tests.fresh.snapshot import snapshot
from tests.support.claude import Developer, StandIn
from tests.support.machine import eventually
from tests.support.story import TOKEN_TYPES, Call, Numbers, Turn, bash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.fresh.machine import Run
    from tests.fresh.snapshot import Snapshot
    from tests.fresh.upgrade import Upgrade
    from tests.support.claude import Account
    from tests.support.promql import Vector

# Name: image, and who deploys there.
MACHINES = {
    "debian-12": ("ccpo-debian12", "root"),
    "debian-13-systemd": ("ccpo-debian13-systemd", "ops"),
}
HOME = "/home/dev"
NOTE = f"{HOME}/shop/note.txt"
SCRIPT = (
    Turn((bash("echo hello"),)),
    Turn((bash("ls /no/such/directory", outcome="failure"),)),
    Turn((Call("Write", {"file_path": NOTE, "content": "a note\n"}),)),
    Turn((Call("Read", {"file_path": NOTE}),)),
    Turn((bash(f"rm -rf {HOME}/precious", outcome="blocked", reason="rm_rf"),)),
    Turn((Call("Read", {"file_path": f"{HOME}/shop/.env"}, "blocked", "env_file"),)),
    Turn(text="Done."),
)


# What somebody else has on the host: nobody but them writes it, so that it must be the same in the end.
THEIRS = {
    "debian-12": {},
    "debian-13-systemd": {
        "/etc/claude-code/managed-settings.json": '{"cleanupPeriodDays":   33}\n',
        "/etc/claude-code/managed-settings.d/10-theirs.json": '{"env": {"THEIRS":  "1"}}',
        "/etc/claude-code/.claude/commands/theirs.md": "Say hello.\n",
    },
}
SETTINGS = '{ "cleanupPeriodDays":  44,\n"hooks": {} }'
# Where a deployment of a bare host is broken off (the task and arguments), each time after uninstalling.
CUTS = {
    "rules without a configuration": ("prometheus : Write the configuration", ()),
    "a guard, and nothing that counts": (
        "claude_exporter : Put the exporter's code in place",
        ("--tags", "claude_hooks,claude_exporter"),
    ),
    "an exporter that never ran": (
        "claude_exporter : Install the exporter's init script",
        ("--tags", "claude_exporter"),
    ),
}
# Debian's Pushgateway reads a copy of what the one before it left, and says what groups that is.
GROUPS = """
set -eu
cp /var/lib/prometheus/pushgateway.groups /tmp/groups
prometheus-pushgateway --persistence.file=/tmp/groups --web.listen-address=127.0.0.1:19091 >/dev/null 2>&1 &
trap 'kill $!' EXIT
python3 - <<'END'
import json, time, urllib.request
until = time.monotonic() + 20
while True:
    try:
        answer = urllib.request.urlopen("http://127.0.0.1:19091/api/v1/metrics", timeout=5)
        break
    except OSError:
        assert time.monotonic() < until
        time.sleep(0.1)
print("\\n".join(sorted(group["labels"]["job"] for group in json.load(answer)["data"])))
END
"""


@dataclass
class Half:
    """A deployment that was broken off, and what was left when it was uninstalled."""

    uninstalled: Run
    left: set[str]


@dataclass
class Story:
    """What happened on one machine, in this order."""

    machine: Bare
    refused: Run
    changed_by_refusal: set[str]
    first: Run
    account: Account
    served: int
    users: set[tuple[str, ...]]
    numbers: dict[str, Vector]
    second: Run
    numbers_after: dict[str, Vector]
    checked: Run
    uninstalled: Run
    left: set[str]
    groups_left: list[str]
    uninstalled_again: Run
    purged: Run
    left_after_purge: set[str]
    theirs: dict[str, str]
    halves: dict[str, Half]
    upgrade: Upgrade | None = None


def ask(machine: Bare) -> dict[str, Vector]:
    """Return what Prometheus says that the user ``dev`` did and spent; money in micro-dollars."""
    prometheus = machine.prometheus()

    def sums(metric: str, *labels: str, scale: int = 1) -> Vector:
        by = ", ".join(labels)
        return prometheus.vector(f'round({scale} * sum by ({by}) ({metric}{{user="dev"}}))', *labels)

    return {
        "events": sums("claude_code_hook_events_total", "event"),
        "calls": sums("claude_code_tool_usage_total", "tool", "outcome"),
        "blocks": sums("claude_code_security_blocks_total", "reason", "tool"),
        "tokens": sums("claude_code_tokens_total", "type"),
        "sessions": sums("claude_code_session_duration_seconds_count"),
        "micro-dollars": sums("claude_code_spend_usd_total", scale=1_000_000),
    }


def expected(*accounts: Account) -> dict[str, Vector]:
    """Return the same numbers as the script implies them for these sessions, and their own accounts."""
    numbers = Numbers(dict.fromkeys(TOKEN_TYPES, Fraction(0)))
    for _ in accounts:
        numbers.add((), SCRIPT)
    counted = {
        "events": numbers.events,
        "calls": numbers.calls,
        "blocks": numbers.blocks,
        "tokens": numbers.tokens,
    }
    return {
        **{name: {key: float(count) for key, count in each.items()} for name, each in counted.items()},
        "sessions": {(): float(len(accounts))},
        "micro-dollars": {(): float(sum(account.micros for account in accounts))},
    }


def work(machine: Bare, key: str = "fresh") -> Account:
    """Let the real client work through the script as user ``dev``; return its own account of the session.

    ``key`` names the conversation.
    """
    machine.run("rm", "-f", NOTE)
    machine.write(f"{HOME}/precious/file", "kept\n", user="dev")
    machine.write(f"{HOME}/shop/.env", "SECRET=1\n", user="dev")
    stand_in = StandIn(machine)
    stand_in.start()
    stand_in.script(key, SCRIPT)
    return Developer(machine, "dev").start(key, project="shop").account()


def uninstall(machine: Bare, *arguments: str) -> Run:
    """Run the uninstalling playbook as its reader would."""
    ansible = (".cache/controller/bin/ansible-playbook", "-i", "inventories/local")
    return machine.watch(*ansible, "playbooks/uninstall.yml", *arguments, user=machine.operator)


def broken_off(machine: Bare, before: Snapshot) -> dict[str, Half]:
    """Break a deployment off at each of the tasks, and uninstall what is there."""
    halves = {}
    for name, (task, arguments) in CUTS.items():
        machine.break_off(task, *arguments)
        uninstalled = uninstall(machine, "-e", "uninstall_purge=true")
        halves[name] = Half(uninstalled, snapshot(machine).left_since(before))
    return halves


def tell(name: str, *, image: str, operator: str, theirs: Mapping[str, str], cut: bool) -> Story:
    """Take one bare machine through everything; ``theirs`` are the files of somebody else, by path."""
    machine = Bare.start_from(image, name=name, operator=operator)
    machine.clone()
    untouched = machine.changes()
    refused = machine.deploy(user="nobody")
    changed_by_refusal = machine.changes() - untouched
    machine.run("useradd", "--create-home", "--shell", "/bin/bash", "dev")
    machine.write(f"{HOME}/.claude/settings.json", SETTINGS, user="dev")
    for path, text in theirs.items():
        machine.write(path, text)
    before = snapshot(machine)
    first = machine.deploy()
    assert first.status == 0, first.output
    account = work(machine)
    wanted = expected(account)
    numbers = eventually(lambda: ask(machine), accept=lambda seen: seen == wanted, seconds=60)
    second = machine.deploy()
    numbers_after = ask(machine)
    users = set(machine.prometheus().vector("sum by (user) (claude_code_hook_events_total)", "user"))
    served = len(StandIn(machine).served("fresh"))
    checked = machine.deploy("--check")
    assert machine.loopback(9091).ask("PUT", "/metrics/job/theirs", "kept 1\n")[0] == 200
    uninstalled = uninstall(machine)
    after = snapshot(machine)
    groups_left = machine.run("sh", "-c", GROUPS).split()
    uninstalled_again = uninstall(machine)
    purged = uninstall(machine, "-e", "uninstall_purge=true")
    after_purge = snapshot(machine)
    return Story(
        machine=machine,
        refused=refused,
        changed_by_refusal=changed_by_refusal,
        first=first,
        account=account,
        served=served,
        users=users,
        numbers=numbers,
        second=second,
        numbers_after=numbers_after,
        checked=checked,
        uninstalled=uninstalled,
        left=after.left_since(before),
        groups_left=groups_left,
        uninstalled_again=uninstalled_again,
        purged=purged,
        left_after_purge=after_purge.left_since(before),
        theirs={path: machine.run("cat", path) for path in (f"{HOME}/.claude/settings.json", *theirs)},
        halves=broken_off(machine, before) if cut else {},
    )
