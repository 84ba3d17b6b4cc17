"""The doctor's judgements: what it says of facts, and that what it says is documented."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from claude_code_doctor import hooks as doctors_hooks
from claude_code_doctor import policy
from claude_code_doctor import settings as doctors_settings
from claude_code_doctor.agent import SENT, sends
from claude_code_doctor.catalogue import BY_NAME, CHECKS, table
from claude_code_doctor.client import judge as judge_client
from claude_code_doctor.examination import explained
from claude_code_doctor.exporter import numbers, samples, uptime
from claude_code_doctor.finding import Finding, fail, ok
from claude_code_doctor.policy import overrides, read
from claude_code_doctor.settings import telemetry
from claude_code_doctor.site import ManifestError, Site, load, look

ROOT = Path(__file__).parents[2]


def write(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(values if isinstance(values, str) else json.dumps(values))


def found(tmp_path: Path) -> list[tuple[str, str]]:
    """Return the overrides of a host whose one user is ann: name and file, below the host's root."""
    sources = read(tmp_path / "etc/managed-settings.d", {"ann": tmp_path / "home"})
    return [(each.name, each.file.removeprefix(f"{tmp_path}/")) for each in overrides(sources)]


def test_the_page_lists_every_check_as_it_is() -> None:
    assert table() in (ROOT / "docs/doctor.md").read_text()


def test_every_check_has_sentences_and_what_explains_it_is_a_check() -> None:
    for check in CHECKS:
        assert check.cause[0].isupper()
        assert check.cause.endswith(".")
        assert check.remedy.endswith(".")
        assert set(check.after) <= set(BY_NAME)
        assert check.name not in check.after
    assert len(BY_NAME) == len(CHECKS)


HOME, ETC = "home/.claude", "etc/managed-settings.d"


@pytest.mark.parametrize(
    ("file", "values", "name"),
    [
        (f"{HOME}/remote-settings.json", {"model": "opus"}, "managed-source"),
        ("etc/managed-settings.json", {"disableAllHooks": True}, "hooks-disabled"),
        (f"{ETC}/90-own.json", {"disableAllHooks": True}, "hooks-disabled"),
        (f"{HOME}/settings.json", {"disableAllHooks": True}, "hooks-disabled-by-user"),
        ("etc/managed-settings.json", {"allowManagedHooksOnly": True}, "managed-hooks-only"),
        ("etc/managed-settings.json", {"strictPluginOnlyCustomization": ["hooks"]}, "managed-hooks-only"),
        (f"{ETC}/90-own.json", "{", "settings-readable"),
        (f"{ETC}/90-own.json", [], "settings-readable"),
    ],
)
def test_what_overrides_ours_is_named_with_its_file(
    tmp_path: Path, file: str, values: object, name: str
) -> None:
    write(tmp_path / file, values)
    assert found(tmp_path) == [(name, file)]


@pytest.mark.parametrize(
    ("file", "values"),
    [
        (f"{HOME}/remote-settings.json", {}),
        (f"{HOME}/remote-settings.json", {"managedSourcesBehavior": "merge", "model": "opus"}),
        (f"{HOME}/settings.json", {"allowManagedHooksOnly": True, "disableAllHooks": False}),
        (f"{HOME}/settings.json", "{"),
        (f"{ETC}/90-own.json.bak", "{"),
    ],
)
def test_what_overrides_nothing_is_not_named(tmp_path: Path, file: str, values: object) -> None:
    write(tmp_path / file, values)
    assert found(tmp_path) == []


def test_a_project_disables_hooks_and_sets_telemetry_in_vain(tmp_path: Path) -> None:
    """Claude Code ignores a project's variables of telemetry."""
    write(tmp_path / ETC / "40-ours.json", {"env": {"OTEL_LOGS_EXPORTER": "otlp"}})
    values = {"disableAllHooks": True, "env": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://other"}}
    write(tmp_path / ".claude/settings.local.json", values)
    sources = policy.project(tmp_path)
    assert [(each.name, each.file) for each in overrides(sources)] == [
        ("hooks-disabled-by-user", f"{tmp_path}/.claude/settings.local.json")
    ]
    assert list(policy.own_environment(sources)) == []
    write(tmp_path / ".claude/settings.json", {"env": {"OTEL_LOGS_EXPORTER": "otlp", "MINE": "1"}})
    sources = [*read(tmp_path / ETC, {}), *policy.project(tmp_path)]
    assert [(each.name, each.file, each.detail) for each in policy.astray(sources, "40-ours.json")] == [
        (
            "telemetry-projects",
            f"{tmp_path}/.claude/settings.local.json",
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, which Claude Code ignores in a project",
        )
    ]


def test_a_later_drop_in_gives_the_environment(tmp_path: Path) -> None:
    write(tmp_path / ETC / "40-a.json", {"env": {"A": "1", "B": "1"}})
    write(tmp_path / ETC / "90-b.json", {"env": {"B": 2}})
    given = policy.environment(read(tmp_path / ETC, {}))
    assert given == {"A": ("1", f"{tmp_path}/{ETC}/40-a.json"), "B": ("2", f"{tmp_path}/{ETC}/90-b.json")}


def test_the_policy_is_told_by_its_file_alone(tmp_path: Path) -> None:
    write(tmp_path / "etc/managed-settings.json", {"disableAllHooks": True})
    command = [sys.executable, "-I", str(ROOT / "files/doctor/claude_code_doctor/policy.py")]
    done = subprocess.run(
        [*command, str(tmp_path / ETC)], capture_output=True, check=True, text=True, timeout=30
    )
    told = [each for each in json.loads(done.stdout) if each["file"].startswith(str(tmp_path))]
    assert told == [
        {
            "name": "hooks-disabled",
            "file": f"{tmp_path}/etc/managed-settings.json",
            "detail": "disableAllHooks is set",
        }
    ]


@pytest.mark.parametrize(
    ("version", "state"), [("2.1.295", "ok"), ("2.2.0", "ok"), ("10.0", "ok"), ("2.1.94", "fail"), ("", "ok")]
)
def test_versions_are_compared_by_their_numbers(version: str, state: str) -> None:
    assert judge_client({"/usr/bin/claude": version}, "2.1.295").state == state


def test_a_failure_names_the_failed_check_that_explains_it() -> None:
    findings = explained([fail("exporter-running", ""), fail("otlp-accepted", ""), ok("disk", "")])
    assert findings == [
        Finding("exporter-running", "fail", ""),
        Finding("otlp-accepted", "fail", "", follows="exporter-running"),
        Finding("disk", "ok", ""),
    ]


def test_no_failure_explains_itself() -> None:
    """What explains a check, and what explains that: nowhere in a circle."""

    def above(name: str) -> set[str]:
        after = BY_NAME[name].after
        return set(after).union(*map(above, after))

    assert [name for name in BY_NAME if name in above(name)] == []


WANTED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_LOG_USER_PROMPTS": "0", "OTHER": "1"}


@pytest.mark.parametrize(
    ("changed", "failed"),
    [
        ({}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://other"}, ["telemetry-endpoint"]),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://other"}, ["telemetry-endpoint"]),
        ({"OTEL_LOG_USER_PROMPTS": "1"}, ["telemetry-content"]),
        ({"OTEL_LOG_RAW_API_BODIES": "1"}, ["telemetry-content"]),
        ({"OTEL_LOG_RAW_API_BODIES": "0"}, []),
        ({"OTHER": "2"}, ["telemetry-environment"]),
        ({"OTHER": None}, ["telemetry-registered"]),
        ({"NOBODY_ASKED": "1"}, []),
    ],
)
def test_the_environment_is_compared_with_what_is_wanted(
    changed: dict[str, str | None], failed: list[str]
) -> None:
    values = {**WANTED, **changed}
    given = {name: (value, "90-own.json") for name, value in values.items() if value is not None}
    assert [each.name for each in telemetry(given, WANTED) if each.state == "fail"] == failed


NOW = 1_800_000_000.0
LAST_PUSH = "claude_code_exporter_last_push_timestamp_seconds"


@pytest.mark.parametrize(
    ("page", "states"),
    [
        ({}, ("unseen", "unseen", "unseen")),
        ({LAST_PUSH: NOW - 20}, ("ok", "ok", "ok")),
        ({LAST_PUSH: NOW - 301}, ("fail", "ok", "ok")),
        ({LAST_PUSH: 0.0}, ("fail", "ok", "ok")),
        ({LAST_PUSH: NOW, "claude_code_exporter_journal_lag_seconds": 61.0}, ("ok", "fail", "ok")),
        ({LAST_PUSH: NOW, "claude_code_canary_timestamp_seconds": NOW + 121}, ("ok", "ok", "fail")),
    ],
)
def test_what_the_exporter_says_of_itself(page: dict[str, float], states: tuple[str, ...]) -> None:
    found = {each.name: each.state for each in numbers(page, "pushgateway", now=NOW, up=900)}
    assert (found["push-arrives"], found["journal-backlog"], found["clock-future"]) == states


@pytest.mark.parametrize(
    ("page", "state"),
    [
        ({}, "unseen"),
        ({"process_start_time_seconds": NOW - 20}, "unseen"),
        ({"process_start_time_seconds": NOW - 301}, "fail"),
        ({SENT: NOW - 20}, "ok"),
        ({SENT: NOW - 301}, "fail"),
    ],
)
def test_what_the_agent_says_of_itself(page: dict[str, float], state: str) -> None:
    assert sends(page, now=NOW).state == state


def test_a_process_is_as_old_as_it_is() -> None:
    with subprocess.Popen(["sleep", "30"]) as process:
        try:
            assert 0 <= uptime([process.pid]) < 20
        finally:
            process.kill()
    assert uptime([]) == 0


def test_an_exporter_that_was_just_started_may_not_have_pushed_yet() -> None:
    found = {each.name: each.state for each in numbers({LAST_PUSH: 0.0}, "pushgateway", now=NOW, up=20)}
    assert found["push-arrives"] == "unseen"


def test_a_host_that_is_scraped_pushes_nothing() -> None:
    found = {each.name: each.state for each in numbers({LAST_PUSH: NOW}, "scrape", now=NOW, up=900)}
    assert found["push-arrives"] == "unseen"


def test_a_page_of_metrics_is_read() -> None:
    text = '# HELP x y\nclaude_code_a 1\nclaude_code_b{user="a b"} 2.5\nclaude_code_b{user="c"} 3\nother 9\n'
    assert samples(text) == {"claude_code_a": 1.0, "claude_code_b": 3.0, "other": 9.0}


def test_without_a_manifest_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"doctor\.json cannot be read .*: deploy to this host again"):
        load(tmp_path / "doctor.json")
    write(tmp_path / "doctor.json", "{}")
    with pytest.raises(ManifestError, match=r"doctor\.json is no manifest"):
        load(tmp_path / "doctor.json")


def test_what_leads_telemetry_elsewhere_is_named_and_what_only_repeats_it_is_not(tmp_path: Path) -> None:
    ours = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_LOGS_EXPORTER": "otlp"}
    write(tmp_path / ETC / "10-own.json", {"env": {"OTEL_LOGS_EXPORTER": "none"}})
    write(tmp_path / ETC / "40-ours.json", {"env": ours})
    write(tmp_path / ETC / "60-own.json", {"env": {**ours, "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://x"}})
    write(tmp_path / ETC / "70-own.json", {"env": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://y"}})
    write(
        tmp_path / HOME / "settings.json",
        {"env": {"OTEL_LOGS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "x"}},
    )
    sources = read(tmp_path / ETC, {"ann": tmp_path / "home"})
    named = [
        (each.name, Path(each.file).name, each.detail.split()[0])
        for each in policy.astray(sources, "40-ours.json")
    ]
    assert named == [
        ("telemetry-endpoint", "70-own.json", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("telemetry-endpoint", "60-own.json", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"),
        ("telemetry-users", "settings.json", "OTEL_TRACES_EXPORTER"),
    ]
    assert list(policy.astray(sources, "no-such.json")) == []


def site_of(**given: str) -> Site:
    """Return a site of which only some texts matter."""
    texts = {field.name: "" for field in fields(Site) if field.type == "str"}
    return Site(**{**texts, **given})  # type: ignore[arg-type] # all are texts


def test_hooks_that_users_settings_register_are_looked_for_there(tmp_path: Path) -> None:
    hook = {"type": "command", "command": "/usr/bin/python3 /opt/hooks/pre_tool_use.py", "onFailure": "block"}
    hooks = {"PreToolUse": [{"matcher": "*", "hooks": [hook]}]}
    shops = [tmp_path / name for name in ("red", "blue")]
    for shop in shops:
        write(shop / ".claude/settings.json", {"hooks": hooks})
    places = [{"checkout": str(shop)} for shop in shops]
    write(tmp_path / "registered.json", {"scope": "project", "places": places, "hooks": hooks})
    site = site_of(hooks_dir="/opt/hooks", registered=str(tmp_path / "registered.json"))
    assert doctors_hooks._registered(site).state == "ok"
    write(shops[1] / ".claude/settings.json", {"hooks": {}})
    found = doctors_hooks._registered(site)
    assert found.state == "fail"
    assert f"{shops[1]}/.claude/settings.json does not register" in found.detail
    assert "red" not in found.detail


def test_projects_that_hooks_are_merged_into_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claude_code_doctor.site.people", dict)
    shop, file = tmp_path / "shop", f"{tmp_path}/shop/.claude/settings.json"
    env = {"OTEL_METRICS_EXPORTER": "none", "MINE": "1"}
    write(shop / ".claude/settings.json", {"disableAllHooks": True, "env": env})
    write(tmp_path / "registered.json", {"places": [{"checkout": str(shop)}, {"user": "ann"}]})
    site = site_of(settings_dir=str(tmp_path / ETC), registered=str(tmp_path / "registered.json"))
    found = {each.name: each for each in doctors_settings.examine(look(site, quick=True, wait=0))}
    disabled, said = found["hooks-disabled-by-user"], found["telemetry-projects"]
    assert (disabled.state, disabled.detail) == ("fail", f"{file}: disableAllHooks is set")
    assert (said.state, said.detail) == ("note", f"{file} sets OTEL_METRICS_EXPORTER")
