"""The account at the end of ./test: its sums and its exit status."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.support.summary import main, step

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

REPORT = """<testsuites><testsuite name="pytest" tests="4">
<testcase name="a"/>
<testcase name="b"><properties><property name="delay" value="9 ms"/></properties></testcase>
<testcase name="c"><failure message="no"/></testcase>
<testcase name="d"><skipped message="no server here"/></testcase>
</testsuite></testsuites>"""


def test_counts_come_from_the_report_of_pytest(tmp_path: Path) -> None:
    (tmp_path / "unit.xml").write_text(REPORT)
    found = step(tmp_path, "unit", "failed", 3)
    assert (found.passed, found.failed, found.skipped) == (2, 1, 1)
    assert found.reasons == ["no server here"]


def test_step_that_died_after_a_clean_report_has_failed(tmp_path: Path) -> None:
    (tmp_path / "unit.xml").write_text('<testsuites><testsuite><testcase name="a"/></testsuite></testsuites>')
    assert step(tmp_path, "unit", "failed", 3).failed == 1


def test_one_line_of_counts_ends_the_account(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "steps").write_text("lint\tok\t4\nunit\tfailed\t61\n")
    (tmp_path / "unit.xml").write_text(REPORT)
    assert main(tmp_path, 65) == 1
    printed = capsys.readouterr().out
    assert "skipped: unit: no server here\n" in printed
    assert "figure: unit: delay: 9 ms\n" in printed
    assert printed.endswith("\n3 passed, 1 failed, 1 skipped in 1 min 05 s\n")


def test_nothing_that_ran_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "steps").write_text("")
    assert main(tmp_path, 0) == 1


def test_recap_with_a_change_fails_the_second_look() -> None:
    recap = "dev-a : ok=9 changed={} unreachable=0 failed=0"
    for changed, status in ((0, 0), (1, 1), (12, 1)):
        done = subprocess.run(
            ["tests/support/unchanged", "echo", recap.format(changed)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.returncode, done.stdout) == (status, recap.format(changed) + "\n")
