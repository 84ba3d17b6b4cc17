"""The module that makes several directories and files in one task."""

import grp
import os
import pwd
import sys
from pathlib import Path
from typing import Any

from tests.support.modules import run_module

MODULE = Path(__file__).parents[2] / "plugins/modules/file_set.py"
OWN = {
    "owner": pwd.getpwuid(os.geteuid()).pw_name,
    "group": grp.getgrgid(os.getegid()).gr_name,
}


def make(place: Path, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
    """Run the module with a temporary directory of its own, and return what it said."""
    given = {**OWN, **arguments, "_ansible_check_mode": check, "_ansible_diff": True}
    return run_module(MODULE, given, temporary=place)


def wanted(place: Path) -> dict[str, Any]:
    return {
        "directories": [{"path": str(place / "etc/more"), "mode": "0750", **OWN}],
        "files": {str(place / "etc/more/one"): "1\n", str(place / "etc/two"): "2\n"},
        "absent": [str(place / "old")],
        "mode": "0640",
    }


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_all_is_made_once_with_owner_and_mode(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    made = make(tmp_path, **wanted(tmp_path))
    assert made["changes"] == [
        str(tmp_path / name) for name in ("etc/more", "etc/more/one", "etc/two", "old")
    ]
    assert [path.read_text() for path in (tmp_path / "etc/more/one", tmp_path / "etc/two")] == ["1\n", "2\n"]
    assert (mode(tmp_path / "etc/more"), mode(tmp_path / "etc/two")) == (0o750, 0o640)
    assert not (tmp_path / "old").exists()
    assert sorted(path.name for path in (tmp_path / "etc").iterdir()) == ["more", "two"]
    again = make(tmp_path, **wanted(tmp_path))
    assert (again["changed"], again["diff"]) == (False, [])


def test_check_mode_says_the_same_and_makes_nothing(tmp_path: Path) -> None:
    would = make(tmp_path, check=True, **wanted(tmp_path))
    assert list(tmp_path.iterdir()) == []
    did = make(tmp_path, **wanted(tmp_path))
    assert (would["changes"], would["diff"]) == (did["changes"], did["diff"])


def test_the_diff_shows_content_and_modes_before_and_after(tmp_path: Path) -> None:
    make(tmp_path, **wanted(tmp_path))
    (tmp_path / "etc/two").write_text("former\n")
    (tmp_path / "etc/more/one").chmod(0o666)
    diff = {Path(each["before_header"]).name: each for each in make(tmp_path, **wanted(tmp_path))["diff"]}
    assert (diff["two"]["before"], diff["two"]["after"]) == ("former\n", "2\n")
    assert ("0666" in diff["one"]["before"], "0640" in diff["one"]["after"]) == (True, True)
    assert mode(tmp_path / "etc/more/one") == 0o640


def test_what_its_checker_refuses_does_not_replace_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text("{}\n")
    checks = {str(path): f"{sys.executable} -m json.tool %s /dev/null"}
    refused = make(tmp_path, files={str(path): "{\n"}, checks=checks)
    assert refused["msg"].startswith(f"{path} failed to validate and was not written: ")
    assert path.read_text() == "{}\n"
    assert [each.name for each in tmp_path.iterdir()] == ["settings.json"]
    assert make(tmp_path, files={str(path): "[]\n"}, checks=checks)["changed"]


def test_a_link_is_kept_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("1\n")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    make(tmp_path, files={str(tmp_path / "link"): "2\n"})
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "2\n"


def test_a_path_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    failed = make(tmp_path, files={str(tmp_path / "file/below"): "1\n"})
    assert failed["msg"] == f"{tmp_path / 'file/below'} cannot be written: Not a directory"


def test_check_mode_names_what_belongs_to_an_account_that_is_still_to_be_made(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    place = {"path": str(tmp_path / "there"), "owner": "nobody-made-it-yet", "group": OWN["group"]}
    said = make(tmp_path, directories=[place], check=True)
    assert (said["changed"], said["changes"]) == (True, [str(tmp_path / "there")])
    assert "nobody-made-it-yet" in make(tmp_path, directories=[place])["msg"]
