"""The story that each bare machine goes through, and what its numbers must be in the end."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from tests.fresh.machine import Bare
from tests.support.claude import Developer, StandIn
from tests.support.machine import eventually
from tests.support.story import TOKEN_TYPES, Call, Numbers, Turn, bash

if TYPE_CHECKING:
    from tests.fresh.machine import Run
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


# The clone, the client and its users' own folders are not ours to remove.
LEFT = """
cd / && find bin boot etc lib opt run sbin usr var -xdev \\
    ! -path 'usr/local/share/ccpo-tests*' ! -path usr/local/bin/claude \\
    ! -path 'var/log/*' ! -path 'var/cache/*' \\
    ! -path 'etc/*passwd*' ! -path 'etc/*shadow*' ! -path 'etc/*group*' \\
    \\( -name '*claude*' -o -type f -path 'etc/*' -exec grep -qi claude {} \\; \\) -print -prune
getent passwd claude-exporter || true
"""


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
    uninstalled_again: Run
    purged: Run
    left_after_purge: set[str]


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


def expected(account: Account) -> dict[str, Vector]:
    """Return the same numbers as the script implies them, and the client's own account of the cost."""
    numbers = Numbers(dict.fromkeys(TOKEN_TYPES, Fraction(0)))
    numbers.add((), SCRIPT)
    counted = {
        "events": numbers.events,
        "calls": numbers.calls,
        "blocks": numbers.blocks,
        "tokens": numbers.tokens,
    }
    return {
        **{name: {key: float(count) for key, count in each.items()} for name, each in counted.items()},
        "sessions": {(): 1.0},
        "micro-dollars": {(): float(account.micros)},
    }


def work(machine: Bare) -> Account:
    """Let the real client work through the script as user ``dev``; return its own account of the session."""
    machine.run("useradd", "--create-home", "--shell", "/bin/bash", "dev")
    machine.write(f"{HOME}/precious/file", "kept\n", user="dev")
    machine.write(f"{HOME}/shop/.env", "SECRET=1\n", user="dev")
    stand_in = StandIn(machine)
    stand_in.start()
    stand_in.script("fresh", SCRIPT)
    return Developer(machine, "dev").start("fresh", project="shop").account()


def uninstall(machine: Bare, *arguments: str) -> Run:
    """Run the uninstalling playbook as its reader would."""
    ansible = (".cache/controller/bin/ansible-playbook", "-i", "inventories/local")
    return machine.watch(*ansible, "playbooks/uninstall.yml", *arguments, user=machine.operator)


def left(machine: Bare) -> set[str]:
    """Return every file of the system whose path or content still speaks of us, and our account."""
    found = machine.run("sh", "-c", LEFT)
    return set(found.splitlines())


def tell(name: str, *, image: str, operator: str) -> Story:
    """Take one bare machine through everything."""
    machine = Bare.start_from(image, name=name, operator=operator)
    machine.clone()
    before = machine.changes()
    refused = machine.deploy(user="nobody")
    changed_by_refusal = machine.changes() - before
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
        uninstalled=uninstall(machine),
        left=left(machine),
        uninstalled_again=uninstall(machine),
        purged=uninstall(machine, "-e", "uninstall_purge=true"),
        left_after_purge=left(machine),
    )
