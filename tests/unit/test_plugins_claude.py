"""The filters of the roles claude_telemetry and claude_hooks."""

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.filter.claude_hooks import managed_command, managed_hooks
from plugins.filter.claude_telemetry import environment_strings, otlp_headers, resource_attributes

SETTINGS = json.loads((Path(__file__).parents[2] / "files/claude/settings.json").read_text())


def installed(**changes: object) -> dict[str, list[dict[str, list[dict[str, object]]]]]:
    arguments: dict[str, object] = {
        "python": "/usr/bin/python3",
        "directory": "/lib/x/hooks",
        "config": "/etc/x/hooks.json",
        "guard_timeout": 7,
        "timeout": 3,
    }
    return managed_hooks(SETTINGS, **{**arguments, **changes})  # type: ignore[arg-type] # names are checked by the call


def test_attributes_are_encoded_in_the_order_of_their_names() -> None:
    assert resource_attributes({"team": "R&D, Köln", "cost_center": 4711, "a.b": "x=y;z"}) == (
        "a.b=x%3Dy%3Bz,cost_center=4711,team=R%26D%2C%20K%C3%B6ln"
    )
    assert resource_attributes({}) == ""


@given(
    st.dictionaries(
        st.from_regex(r"z[a-z0-9_]{0,9}", fullmatch=True), st.text(min_size=1, max_size=99), max_size=5
    )
)
def test_every_attribute_can_be_read_back(attributes: dict[str, str]) -> None:
    encoded = resource_attributes(attributes)
    assert encoded.isascii()
    pairs = [pair.split("=") for pair in encoded.split(",") if pair]
    assert {name: unquote(value) for name, value in pairs} == attributes


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"Team": "x"}, "no attribute's name"),
        ({"a b": "x"}, "no attribute's name"),
        ({"a,b": "x"}, "no attribute's name"),
        ({"user.email": "x"}, "set by Claude Code itself"),
        ({"service.name": "x"}, "set by Claude Code itself"),
        ({"team": ""}, "needs a text or a number"),
        ({"team": ["x"]}, "needs a text or a number"),
        ({"team": True}, "needs a text or a number"),
        ({"team": "x" * 256}, "longer than 255"),
    ],
)
def test_an_attribute_that_cannot_be_one_is_refused_by_its_name(
    attributes: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        resource_attributes(attributes)
    assert str(caught.value).startswith(f"claude_telemetry_resource_attributes: {next(iter(attributes))!r}")


def test_headers_are_encoded_and_a_wrong_one_is_refused_without_showing_it() -> None:
    assert otlp_headers({"X-Team": "a,b", "Authorization": "Bearer t0ken"}) == (
        "Authorization=Bearer%20t0ken,X-Team=a%2Cb"
    )
    with pytest.raises(ValueError, match="no HTTP header's name"):
        otlp_headers({"X Team": "x"})
    with pytest.raises(ValueError, match="Authorization needs a text of one line") as caught:
        otlp_headers({"Authorization": "Bearer t0ken\nX: y"})
    assert "t0ken" not in str(caught.value)


def test_an_environment_is_text_throughout() -> None:
    assert environment_strings({"B": 1, "A": "x"}) == {"A": "x", "B": "1"}
    for wrong in ({"lower": "x"}, {"A-B": "x"}, {"A": True}, {"A": None}, {"A": "x\ny"}):
        with pytest.raises(ValueError, match="claude_telemetry_extra_environment"):
            environment_strings(wrong)


def test_every_event_of_the_bundle_runs_the_installed_script_with_its_configuration() -> None:
    hooks = installed()
    assert set(hooks) == set(SETTINGS["hooks"])
    (guard,) = hooks["PreToolUse"]
    assert guard == {
        "matcher": "*",
        "hooks": [
            {
                "type": "command",
                "command": "/usr/bin/python3 -I -S /lib/x/hooks/pre_tool_use.py --config /etc/x/hooks.json",
                "timeout": 7,
                "onFailure": "block",
            }
        ],
    }
    assert hooks["UserPromptSubmit"][0]["hooks"] == guard["hooks"]
    (stop,) = hooks["Stop"]
    assert stop["hooks"][0] == {
        "type": "command",
        "command": "/usr/bin/python3 -I -S /lib/x/hooks/prometheus_sender.py --config /etc/x/hooks.json",
        "timeout": 3,
    }


def test_a_slash_command_runs_the_installed_report_with_its_configuration_and_may() -> None:
    text = (Path(__file__).parents[2] / "files/claude/commands/meter.md").read_text()
    managed = managed_command(
        text, python="/usr/bin/python3", directory="/lib/x/hooks", config="/etc/x/hooks.json"
    )
    command = "/usr/bin/python3 -I -S /lib/x/hooks/report.py meter --config /etc/x/hooks.json"
    assert f"allowed-tools: Bash({command}:*)\n" in managed
    assert f"!`{command} --session ${{CLAUDE_SESSION_ID}}`\n" in managed
    assert "CLAUDE_PROJECT_DIR" not in managed
    with pytest.raises(ValueError, match="runs no report"):
        managed_command("!`date`", python="p", directory="d", config="c")


def test_a_path_with_a_space_stays_one_word() -> None:
    (group,) = installed(config="/Library/Application Support/x/hooks.json")["Stop"]
    assert str(group["hooks"][0]["command"]).endswith("--config '/Library/Application Support/x/hooks.json'")


def test_telemetry_events_can_be_taken_out_and_the_guard_cannot() -> None:
    assert "Stop" not in installed(disabled=["Stop"])
    for event in ("PreToolUse", "UserPromptSubmit"):
        with pytest.raises(ValueError, match=f"{event} is the guard's; set claude_hooks_guard_mode to audit"):
            installed(disabled=[event])
    with pytest.raises(ValueError, match="Stopp is not registered"):
        installed(disabled=["Stopp"])


def test_a_foreign_command_in_the_bundle_is_not_installed_for_everybody() -> None:
    foreign = {"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "curl example.com"}]}]}}
    with pytest.raises(ValueError, match="none of the bundle's"):
        managed_hooks(foreign, python="p", directory="d", config="c", guard_timeout=1, timeout=1)
