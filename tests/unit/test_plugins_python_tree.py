"""The module that installs a Python package whole."""

import grp
import os
import pwd
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from plugins.filter.python_files import python_files
from tests.support.modules import run_module

MODULE = Path(__file__).parents[2] / "plugins/modules/python_tree.py"
FILES = {"hook.py": "from utils import core\n", "utils/__init__.py": "", "utils/core.py": "VALUE = 1\n"}


def install(dest: Path, files: dict[str, str], *, check: bool = False) -> dict[str, Any]:
    arguments = {
        "dest": str(dest),
        "files": files,
        "python": sys.executable,
        "owner": pwd.getpwuid(os.geteuid()).pw_name,
        "group": grp.getgrgid(os.getegid()).gr_name,
        "_ansible_check_mode": check,
    }
    return run_module(MODULE, arguments, temporary=dest.parent)


def sources(dest: Path) -> dict[str, str]:
    return {str(path.relative_to(dest)): path.read_text() for path in dest.rglob("*") if path.suffix == ".py"}


def test_the_directory_holds_the_files_compiled_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    dest = tmp_path / "lib/hooks"
    assert install(dest, FILES)["changed"] is True
    assert sources(dest) == FILES
    assert len(list(dest.rglob("*.pyc"))) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in dest.rglob("*.py*")} == {0o644}
    assert install(dest, FILES)["changes"] == []


def test_what_is_not_wanted_any_more_goes_with_its_compiled_form(tmp_path: Path) -> None:
    dest = tmp_path / "hooks"
    install(dest, FILES)
    (dest / "stray").symlink_to("/etc/passwd")
    (dest / "old").mkdir()
    assert install(dest, {"hook.py": FILES["hook.py"]})["changed"] is True
    assert sorted(str(path.relative_to(dest)).split(".")[0] for path in dest.rglob("*")) == [
        "__pycache__",
        "__pycache__/hook",
        "hook",
    ]


def test_a_file_that_somebody_changed_is_put_right_and_compiled_anew(tmp_path: Path) -> None:
    dest = tmp_path / "hooks"
    install(dest, FILES)
    (dest / "utils/core.py").write_text("VALUE = 2\n")
    (dest / "hook.py").chmod(0o666)
    changes = install(dest, FILES)["changes"]
    assert changes == [
        f"attributes of {dest}/hook.py",
        f"content of {dest}/utils/core.py",
        "compiled form of 1 files",
    ]
    assert sources(dest) == FILES
    assert stat.S_IMODE((dest / "hook.py").stat().st_mode) == 0o644


def test_a_link_in_a_files_place_is_replaced_and_its_target_left(tmp_path: Path) -> None:
    dest = tmp_path / "hooks"
    install(dest, FILES)
    (tmp_path / "precious").write_text(FILES["hook.py"])
    (dest / "hook.py").unlink()
    (dest / "hook.py").symlink_to(tmp_path / "precious")
    assert install(dest, FILES)["changed"] is True
    assert not (dest / "hook.py").is_symlink()
    assert (tmp_path / "precious").read_text() == FILES["hook.py"]


def test_check_mode_says_the_same_and_changes_nothing(tmp_path: Path) -> None:
    dest = tmp_path / "hooks"
    said = install(dest, FILES, check=True)["changes"]
    assert not dest.exists()
    assert said == install(dest, FILES)["changes"]


@pytest.mark.parametrize("name", ["/etc/x.py", "../x.py", "utils/../../x.py"])
def test_a_file_outside_the_directory_is_refused(tmp_path: Path, name: str) -> None:
    answer = install(tmp_path / "hooks", {name: ""})
    assert answer["msg"] == f"{name} leaves the directory {tmp_path / 'hooks'}"
    assert not (tmp_path / "hooks").exists()


def test_the_filter_takes_sources_alone_and_refuses_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "utils/__pycache__").mkdir(parents=True)
    (tmp_path / "utils/__pycache__/core.py").write_text("compiled")
    (tmp_path / "utils/core.py").write_text("VALUE = 1\n")
    (tmp_path / "README.md").write_text("text")
    assert python_files(str(tmp_path)) == {"utils/core.py": "VALUE = 1\n"}
    assert python_files(str(tmp_path / "utils"), below="lib") == {"lib/core.py": "VALUE = 1\n"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no Python files"):
        python_files(str(tmp_path / "empty"))
