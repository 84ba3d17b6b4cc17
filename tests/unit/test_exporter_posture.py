"""The host's test of its guard: the real exporter asks a real guard, as the managed settings register it."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from claude_code_exporter.config import Guard
from claude_code_exporter.posture import DROP_IN, examine
from meter import __version__

from tests.support.exporter import Exporter, wait_for
from tests.support.tools import parser

if TYPE_CHECKING:
    from collections.abc import Callable

BUNDLE = Path(__file__).parents[2] / "files/claude/hooks"
LETS_ALL_PASS = "import sys\nsys.exit(0)\n"
BLOCKS_ALL = "import sys\nsys.exit(2)\n"


class Host:
    """A bundle as it is installed, the settings that register it, and the policy that it goes by."""

    def __init__(self, directory: Path) -> None:
        self.hooks = directory / "hooks"
        self.script = self.hooks / "pre_tool_use.py"
        self.settings = directory / "claude-code" / "managed-settings.d"
        self.drop_in = self.settings / DROP_IN
        self.policy = directory / "policy.json"
        self.journal = directory / "guard-journal"
        self.hooks_json = directory / "hooks.json"
        self.guard = Guard(self.hooks, self.settings, interval=1)
        shutil.copytree(BUNDLE, self.hooks, ignore=shutil.ignore_patterns("__pycache__"))
        self.settings.mkdir(parents=True)
        self.journal.mkdir()
        self.policy.write_text("{}")
        self.configure()
        self.command = f"{sys.executable} -I -S {self.script} --config {self.hooks_json}"
        self.register()

    def configure(self, **more: str) -> None:
        """Write the hooks' configuration, with something more."""
        said = {"policy": str(self.policy), "journal_dir": str(self.journal), "shfmt": parser(), **more}
        self.hooks_json.write_text(json.dumps(said))

    def register(self, *, matcher: str = "*", **hook: object) -> None:
        """Register the guard, with something changed."""
        said = {"type": "command", "command": self.command, "timeout": 10, "onFailure": "block", **hook}
        self.write({"hooks": {"PreToolUse": [{"matcher": matcher, "hooks": [said]}]}})

    def write(self, settings: object, name: str = DROP_IN) -> None:
        (self.settings / name).write_text(json.dumps(settings))

    def fault(self) -> str:
        posture = examine(self.guard)
        assert posture is not None
        return posture.fault


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_guard_that_users_settings_register_is_asked_by_what_was_merged_there(host: Host) -> None:
    record = host.drop_in.rename(host.settings.parent / "registered.json")
    assert "cannot be read" in host.fault()
    host.guard = Guard(host.hooks, host.settings, interval=1, registered=record)
    assert host.fault() == ""


def test_a_guard_as_installed_is_effective_and_leaves_no_trace_of_its_test(host: Host) -> None:
    posture = examine(host.guard)
    assert posture is not None
    assert (posture.fault, posture.version) == ("", __version__)
    assert list(host.journal.iterdir()) == []


def strict(host: Host) -> None:
    host.policy.write_text('{"mode": "strict"}')


def others_too(host: Host) -> None:
    host.write({"hooks": {"PreToolUse": [{"hooks": [{"type": "command", "command": "true"}]}]}}, "60-b.json")
    (host.settings.parent / "managed-settings.json").write_text('{"disableAllHooks": false}')


@pytest.mark.parametrize("change", [strict, others_too])
def test_what_does_not_keep_it_from_blocking_is_no_fault(host: Host, change: Callable[[Host], None]) -> None:
    change(host)
    assert host.fault() == ""


def slow(host: Host) -> None:
    host.script.write_text("import time\ntime.sleep(9)\n")
    host.register(timeout=0.2)


CASES: dict[str, tuple[Callable[[Host], Any], str]] = {
    "script away": (
        lambda host: host.script.rename(host.hooks / "away.py"),
        "asked about an ordinary command, it ended with 2 instead of 0",
    ),
    "hooks away": (
        lambda host: shutil.rmtree(host.hooks),
        "asked about an ordinary command, it ended with 2 instead of 0",
    ),
    "lets all pass": (
        lambda host: host.script.write_text(LETS_ALL_PASS),
        "asked about a deletion of everything, it ended with 0 instead of 2",
    ),
    "blocks all": (
        lambda host: host.script.write_text(BLOCKS_ALL),
        "asked about an ordinary command, it ended with 2 instead of 0",
    ),
    "audit mode": (
        lambda host: host.policy.write_text('{"mode": "audit"}'),
        "asked about a deletion of everything, it ended with 0 instead of 2",
    ),
    "secrets free": (
        lambda host: host.policy.write_text('{"protected_patterns": ["*.key"]}'),
        "asked about a look at secrets, it ended with 0 instead of 2",
    ),
    "parser broken": (
        lambda host: host.configure(shfmt="/bin/false"),
        "asked about a disguised deletion, it ended with 0 instead of 2",
    ),
    "policy broken": (
        lambda host: host.policy.write_text("{"),
        "asked about an ordinary command, it ended with 2 instead of 0",
    ),
    "too slow": (
        slow,
        f"asked about a deletion of everything, {sys.executable} gave no answer: ",
    ),
    "no interpreter": (
        lambda host: host.register(command=f"/no/python3 {host.script}"),
        "asked about a deletion of everything, /no/python3 gave no answer: ",
    ),
    "drop-in away": (lambda host: host.drop_in.unlink(), f"/{DROP_IN} cannot be read: "),
    "drop-in broken": (lambda host: host.drop_in.write_text("["), f"/{DROP_IN} cannot be read: "),
    "drop-in empty": (lambda host: host.write({}), "does not register"),
    "drop-in odd": (
        lambda host: host.write({"hooks": {"PreToolUse": [{"hooks": 7}]}}),
        "could not be tested",
    ),
    "another script": (lambda host: host.register(command="/bin/true"), "does not register"),
    "verdict ignored": (lambda host: host.register(command=f"{host.command} || true"), "does not register"),
    "only for Bash": (lambda host: host.register(matcher="Bash"), "does not register"),
    "in the background": (lambda host: host.register(**{"async": True}, matcher="*"), "does not register"),
    "hooks disabled": (
        lambda host: host.write({"disableAllHooks": True}, "10-a.json"),
        "/10-a.json says disableAllHooks",
    ),
    "disabled beside": (
        lambda host: (host.settings.parent / "managed-settings.json").write_text('{"disableAllHooks": true}'),
        "/managed-settings.json says disableAllHooks",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_keeps_it_from_judging_is_named(host: Host, case: str) -> None:
    change, fault = CASES[case]
    change(host)
    assert fault in host.fault()


def test_where_no_hooks_are_installed_there_is_nothing_to_say(host: Host) -> None:
    shutil.rmtree(host.hooks)
    host.drop_in.unlink()
    assert examine(host.guard) is None


def test_the_hash_tells_one_bundle_from_another_whatever_python_leaves_beside(host: Host) -> None:
    def digest() -> str:
        posture = examine(host.guard)
        assert posture is not None
        return posture.digest

    first = digest()
    cache = host.hooks / "utils" / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "more.pyc").write_bytes(b"compiled")
    assert digest() == first
    journal = host.hooks / "utils" / "journal.py"
    journal.write_text(journal.read_text() + "# by hand\n")
    assert digest() != first


def test_the_metrics_follow_the_guard_and_the_log_says_why(host: Host, tmp_path: Path) -> None:
    guard = {"hooks_dir": str(host.hooks), "settings_dir": str(host.settings), "interval": 1}
    team = (("team", "data"),)

    with Exporter(tmp_path, guard=guard, labels={"team": "data"}) as exporter:

        def effective() -> float | None:
            return exporter.values().get("claude_code_guard_effective", {}).get(team)

        wait_for(lambda: effective() == 1, "an effective guard")
        (labels,) = exporter.values()["claude_code_bundle_info"]
        assert dict(labels)["version"] == __version__
        host.script.rename(tmp_path / "away.py")
        wait_for(lambda: effective() == 0, "the guard's absence")
        (tmp_path / "away.py").rename(host.script)
        wait_for(lambda: effective() == 1, "the guard's return")
        said = [line.split(" ", 2)[2] for line in exporter.said().splitlines()]
        assert said == [
            f"ERROR the guard of this host is not effective: {CASES['script away'][1]}",
            "WARNING the guard of this host is effective again",
        ]
        begun = time.monotonic()
        assert exporter.stop() == 0
        assert time.monotonic() - begun < 5


def test_an_exporter_that_is_told_of_no_guard_shows_none(tmp_path: Path) -> None:
    with Exporter(tmp_path) as exporter:
        assert not {"claude_code_guard_effective", "claude_code_bundle_info"} & exporter.values().keys()
