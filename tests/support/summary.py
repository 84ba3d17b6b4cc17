"""The account of a whole run, from the directory in which each step left its log.

``summary.py DIRECTORY SECONDS`` reads ``DIRECTORY/steps`` (name, ``ok`` or ``failed``, seconds, by tabs)
and pytest's ``DIRECTORY/NAME.xml`` where a step left one; a step without one counts as one test. Exits 1 if
anything failed, or if there was nothing to do.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET


@dataclass(frozen=True)
class Step:
    """What one step came to; ``figures`` is what its tests recorded."""

    name: str
    seconds: int
    passed: int
    failed: int
    skipped: int
    reasons: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)


def step(directory: Path, name: str, status: str, seconds: int) -> Step:
    """Read one step's account; a step that fell has at least one failure, whatever pytest wrote."""
    report = directory / f"{name}.xml"
    fell = int(status != "ok")
    if not report.exists():
        return Step(name, seconds, 1 - fell, fell, 0)
    cases = ET.parse(report).getroot().findall(".//testcase")  # noqa: S314 - written by our own pytest
    failed = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
    skips = [found for case in cases if (found := case.find("skipped")) is not None]
    passed = len(cases) - failed - len(skips)
    reasons = [skip.get("message", "") for skip in skips]
    properties = [each for case in cases for each in case.findall("properties/property")]
    figures = [f"{each.get('name')}: {each.get('value')}" for each in properties]
    return Step(name, seconds, passed, max(failed, fell), len(skips), reasons, figures)


def table(steps: list[Step]) -> str:
    """Return one line for each step, and its columns' heads."""
    width = max(len(each.name) for each in steps)
    lines = [f"{'step':{width}}  passed  failed  skipped  seconds"]
    lines += [
        f"{each.name:{width}}  {each.passed:6}  {each.failed:6}  {each.skipped:7}  {each.seconds:7}"
        for each in steps
    ]
    return "\n".join(lines)


def main(directory: Path, seconds: int) -> int:
    """Print the account; return the exit status."""
    rows = [line.split("\t") for line in (directory / "steps").read_text().splitlines()]
    steps = [step(directory, name, status, int(took)) for name, status, took in rows]
    if not steps:
        sys.stdout.write("nothing was run\n")
        return 1
    passed, failed, skipped = (
        sum(getattr(each, what) for each in steps) for what in ("passed", "failed", "skipped")
    )
    sys.stdout.write(f"\n{table(steps)}\n")
    for each in steps:
        for reason in each.reasons:
            sys.stdout.write(f"skipped: {each.name}: {reason}\n")
        for figure in each.figures:
            sys.stdout.write(f"figure: {each.name}: {figure}\n")
    sys.stdout.write(
        f"\n{passed} passed, {failed} failed, {skipped} skipped in {seconds // 60} min {seconds % 60:02} s\n"
    )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
