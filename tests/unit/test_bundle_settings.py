"""How a hook finds its configuration."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from utils import settings as module
from utils.quickjson import dumps, loads
from utils.settings import load


def test_installed_hooks_journal_where_the_exporter_reads_and_obey_the_hosts_policy(tmp_path: Path) -> None:
    config = tmp_path / "hooks.json"
    config.write_text("{}")
    settings = load(["/x/hook.py", "--config", str(config)], {})
    assert settings.installed
    assert settings.active
    assert settings.exporter
    assert settings.error == ""
    assert settings.journal_dir == "/var/lib/claude-code-observability/journal"
    assert settings.policy == "/etc/claude-code-observability/policy.json"


def test_no_variable_of_the_environment_weakens_installed_hooks(tmp_path: Path) -> None:
    config = tmp_path / "hooks.json"
    config.write_text('{"journal_dir": "/j"}')
    environ = {variable: "/elsewhere" for _, variable in module.KEYS.values() if variable}
    settings = load(["/x/hook.py", f"--config={config}"], environ)
    assert (settings.journal_dir, settings.policy) == ("/j", "/etc/claude-code-observability/policy.json")


def test_a_copied_bundle_keeps_everything_in_the_users_state_directory(tmp_path: Path) -> None:
    settings = load([str(tmp_path / "hook.py")], {"XDG_STATE_HOME": "/state"})
    assert not settings.installed
    assert not settings.exporter
    assert settings.journal_dir == settings.state_dir == "/state/claude-code-observability"
    assert settings.policy == ""


def test_a_relative_state_directory_counts_as_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/dev")
    settings = load([str(tmp_path / "hook.py")], {"XDG_STATE_HOME": "state"})
    assert settings.state_dir == "/home/dev/.local/state/claude-code-observability"


def test_a_copied_bundle_reads_its_config_file_and_then_the_environment(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"instance": "from-file"}')
    (tmp_path / "policy.json").write_text("{}")
    settings = load(
        [str(tmp_path / "hook.py")],
        {
            "CLAUDE_OBSERVABILITY_INSTANCE": "from-environment",
            "CLAUDE_OBSERVABILITY_JOURNAL_DIR": "/j",
            "CLAUDE_OBSERVABILITY_PUSHGATEWAY_URL": "http://127.0.0.1:9091",
        },
    )
    assert settings.instance == "from-file"
    assert settings.journal_dir == "/j"
    assert settings.policy == str(tmp_path / "policy.json")
    assert settings.pushgateway == {"url": "http://127.0.0.1:9091"}


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"PROMETHEUS_PUSH_GATEWAY": "https://gateway:9091/push"}, "https://gateway:9091/push"),
        ({"PROMETHEUS_PUSH_GATEWAY": "gateway:9091"}, "http://gateway:9091"),
        (
            {
                "PROMETHEUS_PUSH_GATEWAY": "old:9091",
                "CLAUDE_OBSERVABILITY_PUSHGATEWAY_URL": "http://new:9091",
            },
            "http://new:9091",
        ),
    ],
)
def test_the_pushgateway_may_be_named_as_elsewhere(tmp_path: Path, environ: dict[str, str], url: str) -> None:
    assert load([str(tmp_path / "hook.py")], environ).pushgateway == {"url": url}
    (tmp_path / "config.json").write_text('{"pushgateway": {"url": "http://file"}}')
    assert load([str(tmp_path / "hook.py")], environ).pushgateway == {"url": "http://file"}


def test_labels_come_from_the_file_and_else_from_the_environment(tmp_path: Path) -> None:
    environ = {"CLAUDE_OBSERVABILITY_LABELS": "team=shop, cost_center=cc=42"}
    settings = load([str(tmp_path / "hook.py")], environ)
    assert settings.labels == {"team": "shop", "cost_center": "cc=42"}
    (tmp_path / "config.json").write_text('{"labels": {"team": "file"}}')
    assert load([str(tmp_path / "hook.py")], environ).labels == {"team": "file"}


@pytest.mark.parametrize("text", ["team", "=shop", "team=a,,b=c"])
def test_labels_that_cannot_be_read_are_one_sentence(tmp_path: Path, text: str) -> None:
    settings = load([str(tmp_path / "hook.py")], {"CLAUDE_OBSERVABILITY_LABELS": text})
    assert settings.error.startswith("CLAUDE_OBSERVABILITY_LABELS must be NAME=VALUE,NAME=VALUE, and has '")
    assert settings.labels == {}


def test_installed_hooks_take_no_pushgateway_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "hooks.json").write_text("{}")
    environ = {"PROMETHEUS_PUSH_GATEWAY": "evil:9091", "CLAUDE_OBSERVABILITY_LABELS": "team=evil"}
    settings = load(["hook.py", "--config", str(tmp_path / "hooks.json")], environ)
    assert (settings.pushgateway, settings.labels) == ({}, {})


def test_a_copied_bundle_leaves_counting_to_installed_hooks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "drop-in.json").write_text("{}")
    monkeypatch.setattr(module, "MANAGED", str(tmp_path / "drop-in.json"))
    assert not load([str(tmp_path / "hook.py")], {}).active


@pytest.mark.parametrize("whose", ["HOME", "CLAUDE_CONFIG_DIR", "CLAUDE_PROJECT_DIR"])
def test_a_copied_bundle_leaves_counting_to_hooks_merged_into_the_sessions_own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    environ = {whose: str(tmp_path / "home")}
    settings = (
        tmp_path / "home" / ("settings.json" if whose == "CLAUDE_CONFIG_DIR" else ".claude/settings.json")
    )
    settings.parent.mkdir(parents=True)
    settings.write_text(
        '{"hooks": {"Stop": [{"hooks": [{"command": "/usr/local/lib/elsewhere/hooks/x.py"}]}]}}'
    )
    assert load([str(tmp_path / "hook.py")], environ).active
    settings.write_text(settings.read_text().replace("elsewhere", "claude-code-observability"))
    assert not load([str(tmp_path / "hook.py")], environ).active


def test_a_trial_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "hooks.json").write_text("{}")
    assert not load(["hook.py", "--config", str(tmp_path / "hooks.json"), "--trial"], {}).active


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "must hold one JSON object"),
        ('{"jurnal_dir": "/j"}', "unknown key 'jurnal_dir'"),
        ('{"exporter": "yes"}', "exporter must be of type bool"),
        ('{"journal_dir": "\xff"}', "cannot be read as JSON"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_one_sentence_and_the_defaults(
    tmp_path: Path, text: str, reason: str
) -> None:
    config = tmp_path / "hooks.json"
    config.write_bytes(text.encode("latin-1"))
    settings = load(["/x/hook.py", "--config", str(config)], {})
    assert reason in settings.error
    assert "\n" not in settings.error
    assert settings.journal_dir == "/var/lib/claude-code-observability/journal"


@pytest.mark.parametrize("argv", [["hook.py", "--config"], ["hook.py", "--config", "/does/not/exist"]])
def test_a_configuration_that_is_missing_is_an_error_of_installed_hooks(argv: list[str]) -> None:
    settings = load(argv, {})
    assert settings.installed
    assert "cannot be read" in settings.error


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_quick_json_reads_what_the_standard_module_writes(value: object) -> None:
    text = json.dumps(value)
    assert loads(f" \n{text}\t".encode()) == json.loads(text)


@given(st.text(alphabet='{}[]",:0123456789.eE+-\\ tfn', max_size=20))
def test_quick_json_refuses_exactly_what_the_standard_module_refuses(text: str) -> None:
    try:
        expected = repr(json.loads(text))
    except ValueError:
        with pytest.raises(ValueError, match=r"line 1 column"):
            loads(text.encode())
    else:
        assert repr(loads(text.encode())) == expected


@given(
    st.dictionaries(st.text(), st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False))
)
def test_what_quick_json_writes_is_one_ascii_line_that_reads_back(record: dict[str, str | float]) -> None:
    line = dumps(record)
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line) == record
