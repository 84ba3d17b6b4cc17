"""The host's test of its own guard, as the exporter shows it."""

import json
import time
from pathlib import Path

import pytest
from claude_code_exporter.posture import OUTDATED, Posture, read

from tests.support.exporter import Exporter

NOW = 1_800_000_000.0
SAID = {"checked": NOW, "guard_effective": True, "version": "0.1.0", "hash": "abc123"}


def written(path: Path, *, mode: int = 0o644, **changes: object) -> Path:
    file = path / "posture.json"
    file.write_text(json.dumps({**SAID, **changes}))
    file.chmod(mode)
    return file


def test_a_test_holds_for_a_day_and_an_hour(tmp_path: Path) -> None:
    file = written(tmp_path)
    assert read(file, now=NOW + OUTDATED - 1) == Posture(
        guard_effective=True, version="0.1.0", digest="abc123"
    )
    assert read(file, now=NOW + OUTDATED) == Posture(guard_effective=None, version="0.1.0", digest="abc123")
    assert read(file, now=NOW - 3600) == Posture(guard_effective=None, version="0.1.0", digest="abc123")
    assert read(written(tmp_path, guard_effective=False), now=NOW) == Posture(
        guard_effective=False, version="0.1.0", digest="abc123"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"checked": "soon"},
        {"guard_effective": 1},
        {"version": 'a"b\n'},
        {"hash": ""},
        {"hash": "x" * 65},
        {"mode": 0o666},
    ],
)
def test_what_is_not_to_be_believed_is_not_shown(tmp_path: Path, changes: dict[str, object]) -> None:
    assert read(written(tmp_path, **changes), now=NOW) is None  # type: ignore[arg-type]


def test_a_file_that_is_missing_linked_or_no_json_is_not_shown(tmp_path: Path) -> None:
    assert read(None, now=NOW) is None
    assert read(tmp_path / "nothing.json", now=NOW) is None
    link = tmp_path / "link.json"
    link.symlink_to(written(tmp_path))
    assert read(link, now=NOW) is None
    broken = tmp_path / "broken.json"
    broken.write_text("[" * 4000)
    assert read(broken, now=NOW) is None


def test_it_stands_among_the_metrics(tmp_path: Path) -> None:
    file = written(tmp_path, checked=time.time())
    with Exporter(tmp_path, posture_file=str(file), labels={"team": "data"}) as exporter:
        values = exporter.values()
        assert values["claude_code_guard_effective"] == {(("team", "data"),): 1.0}
        labels = (("hash", "abc123"), ("team", "data"), ("version", "0.1.0"))
        assert values["claude_code_bundle_info"] == {labels: 1.0}
        file.unlink()
        assert "claude_code_guard_effective" not in exporter.values()
