"""Users and projects are labels in full, hashed or not at all, and stricter labels hold for the past, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from utils.meter.ledger import Ledger, Options

from tests.unit.meter_world import NOW, World, line, metrics, point

if TYPE_CHECKING:
    from pathlib import Path

KEY = "a key of the inventory"
PROMPTS = "claude_code_prompts_total"


def worked(directory: Path, **options: Any) -> World:
    """Return a world in which two users worked in two projects, and one of them spent something."""
    world = World(directory, Options(**options))
    for owner, user in ((1000, "ada"), (1001, "bob")):
        for project in ("red", "blue"):
            session = f"{user}-{project}"
            world.write(line("UserPromptSubmit", s=session, p=project), owner=owner, user=user)
            world.export(metrics("claude_code.cost.usage", [point(0.25, session=session, model="m")]))
    return world


def labels(world: World) -> set[tuple[str, str]]:
    return {
        (sample.labels.get("user", "-"), sample.labels.get("project", "-"))
        for family in world.ledger.families(now=NOW)
        for sample in family.samples
        if family.name == PROMPTS
    }


def test_full_labels_are_the_names(tmp_path: Path) -> None:
    assert labels(worked(tmp_path)) == {("ada", "red"), ("ada", "blue"), ("bob", "red"), ("bob", "blue")}


def test_labels_that_are_off_leave_one_series(tmp_path: Path) -> None:
    world = worked(tmp_path, user_label="off", project_label="off")
    assert labels(world) == {("-", "-")}
    assert world.total(PROMPTS) == 4
    assert world.total("claude_code_spend_usd_total") == 1.0


def test_hashed_labels_are_stable_tell_apart_and_need_the_key(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = worked(tmp_path / "a", user_label="hashed", hash_key=KEY)
    other = worked(tmp_path / "b", user_label="hashed", hash_key=KEY + "!")
    users = {user for user, _ in labels(first)}
    assert len(users) == 2
    assert all(len(user) == 16 for user in users)
    assert users & {user for user, _ in labels(other)} == set()
    assert labels(first) == {(user, project) for user in users for project in ("red", "blue")}


def test_a_hashed_ledger_holds_no_name(tmp_path: Path) -> None:
    world = worked(tmp_path, user_label="hashed", project_label="hashed", hash_key=KEY)
    world.write(line("Stop", s="x", p="secret-project"), owner=1002, user="secret-user")
    world.ledger.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"secret-project" not in stored
    assert b"secret-user" not in stored


@pytest.mark.parametrize(
    ("user_label", "project_label", "left"),
    [
        ("hashed", "full", 4),
        ("off", "full", 2),
        ("full", "off", 2),
        ("off", "off", 1),
        ("hashed", "hashed", 4),
    ],
)
def test_labels_made_stricter_hold_for_the_past_and_sums_stay_whole(
    tmp_path: Path, user_label: Any, project_label: Any, left: int
) -> None:
    world = worked(tmp_path)
    world.write(line("PostToolUse", s="ada-red", k="Bash", d=700), owner=1000, user="ada")
    world.options = Options(user_label=user_label, project_label=project_label, hash_key=KEY)
    world.reopen()
    assert len(labels(world)) == left
    assert world.total(PROMPTS) == 4
    assert world.total("claude_code_spend_usd_total") == 1.0
    assert world.total("claude_code_tool_duration_seconds_count") == 1
    world.write(line("UserPromptSubmit", s="ada-red", p="red"), owner=1000, user="ada")
    world.write(line("UserPromptSubmit", s="new", p="red"), owner=1000, user="ada")
    assert len(labels(world)) == left
    assert world.total(PROMPTS) == 6
    world.reopen()
    assert world.total(PROMPTS) == 6


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"constant_labels": {"tool": "x"}}, "'tool' cannot be put on every series"),
        ({"constant_labels": {"instance": "x"}}, "'instance' cannot be put on every series"),
        ({"constant_labels": {"__name__": "x"}}, "'__name__' cannot be put on every series"),
        ({"constant_labels": {"cost-center": "x"}}, "'cost-center' cannot be put on every series"),
        ({"user_label": "some"}, "full, hashed or off, not 'some'"),
        ({"project_label": "hashed"}, "at least 16 characters"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_a_sentence(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Options(**wrong)


def test_a_refused_option_leaves_no_ledger_locked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="full, hashed or off"):
        World(tmp_path, Options(user_label="some"))  # type: ignore[arg-type]
    Ledger.open(tmp_path / "ledger.sqlite", options=Options(), now=NOW).close()
