"""The journal that every hook appends to."""

import fcntl
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from utils.journal import LOCK_PATIENCE, append, project_of
from utils.settings import Settings, load

HOOKS = Path(__file__).parents[2] / "files/claude/hooks"
UID = os.geteuid()


def settings_for(directory: Path) -> Settings:
    config = directory / "hooks.json"
    config.write_text(json.dumps({"journal_dir": str(directory / "journal")}))
    (directory / "journal").mkdir(exist_ok=True)
    return load(["hook.py", "--config", str(config)], {})


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_new_journal_begins_with_its_name_and_then_holds_one_line_an_event(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    append(settings, "SessionStart", {"session_id": "s1", "source": "startup", "cwd": "/home/dev/shop"})
    append(
        settings,
        "PostToolUse",
        {"session_id": "s1", "tool_name": "Bash", "tool_use_id": "toolu_1", "duration_ms": 12.5},
    )
    header, first, second = lines_of(tmp_path / "journal" / f"{UID}.jsonl")
    assert set(header) == {"journal", "v"}
    assert header["v"] == 1
    assert len(bytes.fromhex(str(header["journal"]))) == 16
    assert isinstance(first.pop("t"), float)
    assert first == {"e": "SessionStart", "s": "s1", "x": "startup", "p": "shop"}
    second.pop("t")
    assert second == {"e": "PostToolUse", "s": "s1", "k": "Bash", "i": "toolu_1", "d": 12.5}


def test_the_exporters_group_can_read_the_journal_whatever_the_umask(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    before = os.umask(0o077)
    try:
        append(settings, "Stop", {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "journal" / f"{UID}.jsonl").stat().st_mode) == 0o640


def test_no_content_of_a_tool_call_reaches_the_journal(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    secret = "CANARY-7f3a"
    append(
        settings,
        "PreToolUse",
        {
            "tool_name": "Bash",
            "tool_input": {"command": secret},
            "tool_response": {"stdout": secret},
            "prompt": secret,
            "transcript_path": f"/{secret}/x",
            "cwd": f"/{secret}/project",
        },
        r="rm_rf",
    )
    text = (tmp_path / "journal" / f"{UID}.jsonl").read_text()
    assert secret not in text
    assert lines_of(tmp_path / "journal" / f"{UID}.jsonl")[1]["r"] == "rm_rf"


def test_the_longest_line_stays_within_4096_bytes(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    for text in ("\x01" * 9999, "\U0001f600" * 9999, "\ud800" * 9999):
        append(
            settings,
            text,
            {"session_id": text, "tool_name": text, "tool_use_id": text, "cwd": "/" + text},
            r=text,
            a=text,
            x=text,
        )
    raw = (tmp_path / "journal" / f"{UID}.jsonl").read_bytes()
    assert raw.isascii()
    lengths = [len(line) for line in raw.splitlines(keepends=True)]
    assert len(lengths) == 4
    assert max(lengths) <= 4096


@pytest.mark.parametrize("duration", [True, -1, float("inf"), float("nan"), 1e12, "12", None])
def test_a_duration_that_is_none_is_left_out(tmp_path: Path, duration: object) -> None:
    append(settings_for(tmp_path), "PostToolUse", {"duration_ms": duration})
    assert "d" not in lines_of(tmp_path / "journal" / f"{UID}.jsonl")[1]


@pytest.mark.parametrize(
    ("cwd", "environ", "name"),
    [
        ("/home/dev/shop", {}, "shop"),
        ("/home/dev/shop/", {}, "shop"),
        ("/home/dev/shop/src", {"CLAUDE_PROJECT_DIR": "/home/dev/shop"}, "shop"),
        ("/", {}, ""),
        (None, {}, ""),
        ("/srv/\ud800", {}, "?"),
    ],
)
def test_a_project_is_a_base_name_and_never_a_path(cwd: object, environ: dict[str, str], name: str) -> None:
    assert project_of(cwd, environ) == name


def test_fifty_hooks_at_once_leave_exactly_fifty_whole_lines(tmp_path: Path) -> None:
    settings_for(tmp_path)
    program = (
        f"import sys; sys.path.insert(0, {str(HOOKS)!r})\n"
        "from utils.journal import append\n"
        "from utils.settings import load\n"
        "sys.stdin.read()\n"
        "append(load(sys.argv, {}), 'Stop', {'session_id': sys.argv[3]})\n"
    )
    command = [sys.executable, "-I", "-S", "-c", program, "--config", str(tmp_path / "hooks.json")]
    hooks = [subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE) for number in range(50)]
    for hook in hooks:  # all are started before the first may write
        assert hook.stdin is not None
        hook.stdin.close()
    assert [hook.wait(timeout=60) for hook in hooks] == [0] * 50
    header, *lines = lines_of(tmp_path / "journal" / f"{UID}.jsonl")
    assert "journal" in header
    assert sorted(int(str(line["s"])) for line in lines) == list(range(50))
    assert [path.name for path in (tmp_path / "journal").iterdir()] == [f"{UID}.jsonl"]


def test_half_a_line_of_a_killed_writer_costs_that_line_and_no_other(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    path = tmp_path / "journal" / f"{UID}.jsonl"
    append(settings, "Stop", {"session_id": "before"})
    with path.open("ab") as file:
        file.write(b'{"t": 1, "e": "Sto')
    append(settings, "Stop", {"session_id": "after"})
    _, before, half, after = path.read_bytes().splitlines()
    assert json.loads(before)["s"] == "before"
    assert half == b'{"t": 1, "e": "Sto'
    assert json.loads(after)["s"] == "after"


def test_half_a_header_is_replaced_by_a_whole_one(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    path = tmp_path / "journal" / f"{UID}.jsonl"
    path.write_bytes(b'{"journal": "ab')
    append(settings, "Stop", {"session_id": "after"})
    header, line = lines_of(path)
    assert len(str(header["journal"])) == 32
    assert line["s"] == "after"


def test_a_line_written_while_the_journal_is_rotated_goes_into_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tmp_path)
    path = tmp_path / "journal" / f"{UID}.jsonl"
    append(settings, "Stop", {"session_id": "old"})
    kept = tmp_path / "kept.jsonl"
    real = fcntl.flock
    rotations = 0

    def rotate_first(descriptor: int, operation: int) -> None:
        nonlocal rotations
        if rotations == 0:
            rotations += 1
            path.rename(kept)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", rotate_first)
    append(settings, "Stop", {"session_id": "new"})
    assert rotations == 1
    assert [line.get("s") for line in lines_of(kept)] == [None, "old"]
    assert [line.get("s") for line in lines_of(path)] == [None, "new"]


def test_a_symbolic_link_is_never_followed(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "journal" / f"{UID}.jsonl").symlink_to(target)
    append(settings, "Stop", {"session_id": "s"})
    assert target.read_text() == "precious"
    assert lines_of(tmp_path / "journal" / f"{UID}.00000000.jsonl")[1]["s"] == "s"


@pytest.mark.parametrize("make", ["directory", "fifo", "hard link"])
def test_what_is_no_journal_of_ours_is_passed_by(tmp_path: Path, make: str) -> None:
    settings = settings_for(tmp_path)
    path = tmp_path / "journal" / f"{UID}.jsonl"
    if make == "directory":
        path.mkdir()
    elif make == "fifo":
        os.mkfifo(path)
    else:
        (tmp_path / "precious").write_text("precious")
        path.hardlink_to(tmp_path / "precious")
    for session in ("one", "two"):
        append(settings, "Stop", {"session_id": session})
    lines = lines_of(tmp_path / "journal" / f"{UID}.00000000.jsonl")
    assert [line.get("s") for line in lines] == [None, "one", "two"]
    if make == "hard link":
        assert (tmp_path / "precious").read_text() == "precious"


def test_a_file_of_somebody_else_is_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(tmp_path)
    (tmp_path / "journal" / f"{UID + 1}.jsonl").write_text("theirs")
    monkeypatch.setattr(os, "geteuid", lambda: UID + 1)  # the file there belongs to UID, so it is foreign
    with pytest.MonkeyPatch.context() as patch:
        names: list[str] = []
        real = os.open

        def record(path: str, flags: int, mode: int = 0o777) -> int:
            names.append(Path(path).name)
            if len(names) == 2:
                monkeypatch.setattr(os, "geteuid", lambda: UID)
            return real(path, flags, mode)

        patch.setattr(os, "open", record)
        append(settings, "Stop", {"session_id": "s"})
    assert (tmp_path / "journal" / f"{UID + 1}.jsonl").read_text() == "theirs"
    assert names == [f"{UID + 1}.jsonl", f"{UID + 1}.00000000.jsonl"]


def test_a_lock_that_is_never_released_costs_half_a_second_and_no_line(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    path = tmp_path / "journal" / f"{UID}.jsonl"
    append(settings, "Stop", {"session_id": "before"})
    with path.open("rb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        append(settings, "Stop", {"session_id": "meanwhile"})
    assert LOCK_PATIENCE <= 0.5
    assert [line.get("s") for line in lines_of(path)] == [None, "before"]
    assert lines_of(tmp_path / "journal" / f"{UID}.00000000.jsonl")[1]["s"] == "meanwhile"


def test_a_directory_that_cannot_take_the_journal_is_an_os_error(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    (tmp_path / "journal").rmdir()
    (tmp_path / "journal").write_text("a file")
    with pytest.raises(OSError, match="Not a directory"):
        append(settings, "Stop", {})


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(tmp_path)
    path = tmp_path / "journal" / f"{UID}.jsonl"
    append(settings, "Stop", {"session_id": "before"})
    whole = path.read_bytes()
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:10]))
    with pytest.raises(OSError, match="only a part of a line"):
        append(settings, "Stop", {"session_id": "after"})
    assert path.read_bytes() == whole
