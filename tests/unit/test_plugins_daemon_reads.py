"""The module that knows which of its files a daemon has read."""

from pathlib import Path

from plugins.modules.daemon_reads import digest, forget, found, owed, remembered, write


def present(place: Path) -> dict[str, list[Path]]:
    return {"restart": found(str(place / "code")), "reload": found(str(place / "one.yml"))}


def read(place: Path) -> dict[str, str]:
    return {name: digest(files) for name, files in present(place).items()}


def daemon(place: Path) -> None:
    (place / "code").mkdir()
    (place / "code/main.py").write_text("1\n")
    (place / "one.yml").write_text("a: 1\n")


def test_nothing_is_owed_where_there_is_nothing_and_all_where_nothing_is_known(tmp_path: Path) -> None:
    assert owed(present(tmp_path), {}) == []
    daemon(tmp_path)
    assert owed(present(tmp_path), {}) == ["restart", "reload"]
    assert owed(present(tmp_path), read(tmp_path)) == []


def test_the_handler_of_a_file_that_is_another_since_is_owed(tmp_path: Path) -> None:
    daemon(tmp_path)
    before = read(tmp_path)
    (tmp_path / "one.yml").write_text("a: 2\n")
    assert owed(present(tmp_path), before) == ["reload"]
    (tmp_path / "code/more.py").touch()
    assert owed(present(tmp_path), before) == ["restart", "reload"]
    (tmp_path / "one.yml").unlink()
    assert owed(present(tmp_path), before) == ["restart", "reload"]


def test_compiled_code_and_times_are_no_change(tmp_path: Path) -> None:
    daemon(tmp_path)
    before = read(tmp_path)
    (tmp_path / "code/__pycache__").mkdir()
    (tmp_path / "code/__pycache__/main.pyc").touch()
    (tmp_path / "one.yml").touch()
    assert owed(present(tmp_path), before) == []


def test_what_was_read_is_kept_for_root_alone_and_goes_with_the_last_daemon(tmp_path: Path) -> None:
    records = tmp_path / "records"
    for name in ("a", "b"):
        write(records / f"{name}.json", {"reload": name})
    assert remembered(records / "b.json") == {"reload": "b"}
    assert (records.stat().st_mode & 0o777, (records / "a.json").stat().st_mode & 0o777) == (0o700, 0o600)
    forget(records / "a.json")
    assert records.exists()
    forget(records / "b.json")
    assert not records.exists()


def test_a_record_that_is_none_is_taken_for_nothing_known(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    assert remembered(tmp_path / "a.json") == {}
    assert remembered(tmp_path / "b.json") == {}
