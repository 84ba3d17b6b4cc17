"""The module that merges hooks into settings that are somebody else's."""

from __future__ import annotations

import json
import os
import pwd
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.modules import claude_settings
from plugins.modules.claude_settings import (
    BACKUP,
    Refused,
    as_user,
    check,
    merged,
    ours,
    owner_of,
    restored,
    settle,
    without,
)
from tests.support.modules import run_module

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE = Path(__file__).parents[2] / "plugins/modules/claude_settings.py"
OWN = ["/opt/ours/hooks"]
ME = pwd.getpwuid(os.geteuid())


def group(script: str, **more: str) -> dict[str, Any]:
    command = f"/usr/bin/python3 -I -S {OWN[0]}/{script} --config /etc/ours.json"
    return {**more, "hooks": [{"type": "command", "command": command, "timeout": 5}]}


HOOKS = {"PreToolUse": [group("pre_tool_use.py", matcher="*")], "Stop": [group("sender.py")]}
THEIRS = """{
\t"model": "opus",
\t"hooks": {
\t\t"Stop": [ {"hooks":[{"type":"command","command":"say \\u00e9 é"}]} ],
\t\t"Notification": [
\t\t\t{ "hooks": [{ "type": "command", "command": "/opt/ours/x" }] }
\t\t]
\t},
\t"env":   {"SECRET": "CANARY-77"}
}
"""


def test_ours_stand_behind_theirs_in_the_layout_of_the_file_and_nothing_else_moves() -> None:
    text = merged(THEIRS, HOOKS, OWN)
    inserted = json.dumps(group("pre_tool_use.py", matcher="*"), indent="\t").replace("\n", "\n\t\t\t")
    stop = json.dumps(HOOKS["Stop"][0])
    assert text == THEIRS.replace('"say \\u00e9 é"}]} ]', f'"say \\u00e9 é"}}]}}, {stop} ]').replace(
        '"/opt/ours/x" }] }\n\t\t]',
        f'"/opt/ours/x" }}] }}\n\t\t],\n\t\t"PreToolUse": [\n\t\t\t{inserted}\n\t\t]',
    )
    assert without(text, OWN) == THEIRS


def test_a_file_on_one_line_stays_on_one_line() -> None:
    text = merged('{"model":"opus"}', HOOKS, OWN)
    assert text == f'{{"model":"opus", "hooks": {json.dumps(HOOKS)}}}'


def test_a_new_file_holds_our_hooks_alone_and_ends_in_a_newline() -> None:
    assert merged("{}\n", HOOKS, OWN) == json.dumps({"hooks": HOOKS}, indent=2) + "\n"


def test_newlines_of_windows_and_a_missing_last_one_stay() -> None:
    text = merged('{\r\n    "a": 1\r\n}', HOOKS, OWN)
    assert "\n" not in text.replace("\r\n", "")
    assert text.endswith("\r\n    }\r\n}")
    assert without(text, OWN) == '{\r\n    "a": 1\r\n}'


def test_other_hooks_of_ours_replace_those_that_were_there() -> None:
    text = merged(merged(THEIRS, HOOKS, OWN), {"Stop": [group("other.py")]}, OWN)
    assert ours(check(text), OWN) == {"Stop": [group("other.py")]}
    assert without(text, OWN) == THEIRS


def test_what_they_changed_since_stays_when_ours_go() -> None:
    text = merged(THEIRS, HOOKS, OWN)
    edited = text.replace('"opus"', '"haiku"').replace("CANARY-77", "x")
    wanted = THEIRS.replace('"opus"', '"haiku"').replace("CANARY-77", "x")
    assert restored(edited, THEIRS, OWN) == wanted


def test_our_hook_in_a_group_of_theirs_goes_alone() -> None:
    text = '{"hooks": {"Stop": [{"hooks": [{"command": "a"}, %s, {"command": "b"}]}]}}'
    mixed = text % json.dumps(HOOKS["Stop"][0]["hooks"][0])
    assert without(mixed, OWN) == text.replace("%s, ", "")


def test_empty_lists_of_theirs_come_back() -> None:
    text = '{ "hooks" : { "Stop" : [ ] , "PreToolUse":[\n] } }'
    assert restored(merged(text, HOOKS, OWN), text, OWN) == text


def test_empty_lists_of_theirs_stay_where_they_are_also_if_something_else_was_changed() -> None:
    text = '{\n  "hooks": {\n    "Stop": [],\n    "Other": []\n  },\n  "model": "opus"\n}\n'
    edited = merged(text, HOOKS, OWN).replace("opus", "haiku")
    assert restored(edited, text, OWN) == text.replace("opus", "haiku")
    again = merged(edited, {"Stop": [group("other.py")]}, OWN, text)
    assert list(json.loads(again)["hooks"]) == ["Stop", "Other"]
    bare = '{"hooks": {}, "model": "opus"}'
    changed = merged(bare, HOOKS, OWN).replace("opus", "haiku")
    assert restored(changed, bare, OWN) == bare.replace("opus", "haiku")


@pytest.mark.parametrize("hooks", ["{ }", '{"Stop": [ ]}', '{\n\n"Stop" :[\n] , "Other": [ ] }'])
def test_the_blank_in_empty_lists_of_theirs_stays_also_if_something_else_was_changed(hooks: str) -> None:
    text = f'{{"hooks": {hooks}, "model": "opus"}}'
    edited = merged(text, HOOKS, OWN).replace("opus", "haiku")
    assert restored(edited, text, OWN) == text.replace("opus", "haiku")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1, column 1: it is no JSON"),
        ('{"a": 1,\n  // why\n  "b": 2}', "line 2, column 3: it is no JSON"),
        ('{"a": NaN}', "NaN is no JSON"),
        ("[]", "it holds no JSON object"),
        ('{"hooks": []}', '"hooks" is not what Claude Code expects'),
        ('{"hooks": {"Stop": {}}}', '"hooks" is not what Claude Code expects'),
        ('{"hooks": {}, "hooks": {}}', '"hooks" stands there twice'),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_claude_code_could_not_read_is_refused_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        merged(text, HOOKS, OWN)


COMMANDS = st.sampled_from(["true", "echo é", "/opt/oursX/hooks/a.py", '"quoted" \\'])
HOOK = st.fixed_dictionaries({"type": st.just("command"), "command": COMMANDS})
GROUPS = st.lists(st.fixed_dictionaries({"hooks": st.lists(HOOK, max_size=2)}), max_size=3)
EVENTS = st.dictionaries(st.sampled_from(["PreToolUse", "Stop", "Other"]), GROUPS, max_size=3)
SETTINGS = st.builds(
    lambda rest, hooks, late: (
        {**rest, "hooks": hooks, **({"late": 1} if late else {})} if hooks is not None else rest
    ),
    st.dictionaries(
        st.text(max_size=4), st.text(max_size=4) | st.lists(st.integers(), max_size=2), max_size=3
    ),
    st.none() | EVENTS,
    st.booleans(),
)
LAYOUTS = st.sampled_from([None, 0, 1, 2, 4, "\t"])


@given(SETTINGS, LAYOUTS, st.booleans(), st.sampled_from(["", "\n", " \n\n"]))
def test_merging_adds_exactly_ours_and_restoring_gives_back_every_byte(
    settings: dict[str, Any], indent: int | str | None, escape: object, end: str
) -> None:
    text = json.dumps(settings, indent=indent, ensure_ascii=bool(escape)) + end
    once = merged(text, HOOKS, OWN)
    wanted = json.loads(text)
    for event, groups in HOOKS.items():
        wanted.setdefault("hooks", {}).setdefault(event, []).extend(groups)
    assert json.dumps(json.loads(once)) == json.dumps(wanted)  # order of keys included
    assert merged(once, HOOKS, OWN) == once
    assert restored(once, text, OWN) == text
    hooks = settings.get("hooks")
    if hooks is None or (hooks and all(hooks.get(event, [0]) for event in HOOKS)):
        assert without(once, OWN) == text  # nothing of theirs was empty: no memory is needed


def run(directory: Path, **arguments: Any) -> dict[str, Any]:
    given_ = {
        "checkout": str(directory),
        "directories": OWN,
        **arguments,
    }
    said = {name: value for name, value in given_.items() if value is not None}
    return run_module(MODULE, said, temporary=directory)


@pytest.fixture
def ground() -> Iterator[Path]:
    """Make a directory that any user can look into, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name).resolve()


@pytest.fixture
def settings(ground: Path) -> Path:
    """Return the path of a checkout's settings; nothing of it exists yet but the checkout."""
    checkout = ground / "shop"
    checkout.mkdir()
    if os.geteuid() == 0:
        os.chown(checkout, 65534, 65534)
    return checkout / ".claude/settings.json"


def give(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    if os.geteuid() == 0:
        owner = path.parent.parent.stat()
        os.chown(path.parent, owner.st_uid, owner.st_gid)
        os.chown(path, owner.st_uid, owner.st_gid)


def test_settings_are_merged_kept_and_given_back(settings: Path) -> None:
    give(settings, THEIRS, mode=0o640)
    before = settings.stat()
    checkout = settings.parent.parent
    dry = run(checkout, hooks=HOOKS, _ansible_check_mode=True)
    assert dry["changed"]
    assert settings.read_text() == THEIRS
    first = run(checkout, hooks=HOOKS)
    assert first["changed"]
    assert first["diff"] == dry["diff"]
    assert "CANARY-77" not in json.dumps(first)
    after = settings.stat()
    assert settings.read_text() == merged(THEIRS, HOOKS, OWN)
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    backup = settings.with_name(settings.name + BACKUP)
    assert backup.read_text() == THEIRS
    assert not run(checkout, hooks=HOOKS)["changed"]
    assert run(checkout, state="absent")["changed"]
    assert settings.read_text() == THEIRS
    assert sorted(settings.parent.iterdir()) == [settings]
    assert not run(checkout, state="absent")["changed"]


def test_settings_that_were_not_there_are_not_there_afterwards(settings: Path) -> None:
    checkout = settings.parent.parent
    assert run(checkout, hooks=HOOKS)["changed"]
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    assert settings.stat().st_uid == checkout.stat().st_uid
    assert run(checkout, state="absent")["changed"]
    assert list(checkout.iterdir()) == []


def test_a_file_that_is_no_json_is_named_with_its_line_and_left_alone(settings: Path) -> None:
    give(settings, '{\n  "a": 1,\n}\n')
    answer = run(settings.parent.parent, hooks=HOOKS)
    assert answer["failed"]
    assert answer["msg"].startswith(f"{settings}: line 3, column 1: it is no JSON")
    assert settings.read_text() == '{\n  "a": 1,\n}\n'
    assert sorted(settings.parent.iterdir()) == [settings]


def test_settings_that_disable_hooks_are_refused_but_given_back(settings: Path) -> None:
    give(settings, '{"disableAllHooks": true}')
    answer = run(settings.parent.parent, hooks=HOOKS)
    assert f"{settings}: settings.json says disableAllHooks, so hooks would not run." in answer["msg"]
    give(settings, merged('{"disableAllHooks": true}', HOOKS, OWN))
    assert run(settings.parent.parent, state="absent")["changed"]
    assert settings.read_text() == '{"disableAllHooks": true}'
    give(settings, "{}")
    settings.with_name("settings.local.json").write_text('{"disableAllHooks": true}')
    assert "settings.local.json says disableAllHooks" in run(settings.parent.parent, hooks=HOOKS)["msg"]


def test_a_link_leads_to_the_file_that_is_changed_and_stays_a_link(settings: Path) -> None:
    give(settings, THEIRS)
    kept = settings.with_name("dotfiles.json")
    settings.rename(kept)
    settings.symlink_to("dotfiles.json")
    assert run(settings.parent.parent, hooks=HOOKS).get("msg") is None
    assert settings.is_symlink()
    assert kept.read_text() == merged(THEIRS, HOOKS, OWN)


@pytest.mark.parametrize("where", ["settings.json", ".claude"])
def test_a_link_to_what_its_owner_may_not_write_is_refused(settings: Path, ground: Path, where: str) -> None:
    precious = ground / "precious"
    precious.mkdir()
    (precious / "settings.json").write_text("{}\n")
    precious.chmod(0o555)  # the module works as the owner, who is nobody where root runs this
    if where == ".claude":
        settings.parent.symlink_to(precious)
    else:
        give(settings, "{}")
        settings.unlink()
        settings.symlink_to(precious / "settings.json")
    answer = run(settings.parent.parent, hooks=HOOKS)
    assert "it cannot be changed (" in answer["msg"]
    assert "Permission denied" in answer["msg"]
    assert [path.name for path in precious.iterdir()] == ["settings.json"]
    assert (precious / "settings.json").read_text() == "{}\n"


# Both are root's on every Debian, and "/tmp/.." lies in /tmp, where everybody can put something.
@pytest.mark.parametrize("checkout", ["/tmp", "/tmp/.."])
def test_a_checkout_of_roots_that_others_could_have_put_there_is_refused(checkout: str) -> None:
    with pytest.raises(Refused, match=r"it belongs to root, but others can change /tmp$"):
        owner_of(Path(checkout))


def test_a_link_is_no_checkout(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(Refused, match="no directory"):
        owner_of(tmp_path / "link")


def test_somebody_elses_write_in_between_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"a": 1}')
    real = claude_settings.merged

    def busy(text: str, *rest: Any) -> str:
        if text == '{"a": 1}':
            path.write_text('{"a": 2}')
        return real(text, *rest)

    monkeypatch.setattr(claude_settings, "merged", busy)
    settle(path, HOOKS, OWN, dry=False)
    assert json.loads(path.read_text()) == {"a": 2, "hooks": HOOKS}


def test_a_user_that_is_not_there_is_refused_but_has_nothing_to_take_out_of(tmp_path: Path) -> None:
    nobody = {"checkout": None, "user": "no-such-user"}
    assert "This host has no user no-such-user" in run(tmp_path, hooks=HOOKS, **nobody)["msg"]
    assert run(tmp_path, state="absent", **nobody)["changed"] is False
    assert run(tmp_path / "gone", state="absent", _ansible_remote_tmp=str(tmp_path))["changed"] is False


def test_an_accident_in_the_child_is_one_sentence() -> None:
    def accident() -> Any:
        raise OSError(28, "No space left on device")

    with pytest.raises(Refused, match=r"it cannot be changed .*No space left"):
        as_user(ME, accident)
