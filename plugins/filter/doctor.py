"""What playbooks/verify.yml makes of the doctors' reports and of Prometheus' answers: rows of a table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Row = list[str]
"""A host, the check that failed there, and a sentence."""
LOST = (
    "Its synthetic event has not reached Prometheus within a minute. "
    "Look along its way: journal, exporter, push, target."
)


def doctor_report(result: dict[str, Any]) -> dict[str, Any]:
    """Return the report that `claude-code-doctor --json` printed, or nothing if it printed none."""
    try:
        report = json.loads(result.get("stdout") or "")
    except ValueError:
        return {}
    return report if isinstance(report, dict) and "checks" in report else {}


def doctor_rows(result: dict[str, Any], host: str) -> list[Row]:
    """Return a row for each cause that the doctor of `host` named; `result` is that of its task."""
    if result.get("unreachable"):
        return [[host, "unreachable", f"Ansible does not reach the host: {result.get('msg', '')}"]]
    report = doctor_report(result)
    if not report:
        said = " ".join(str(result.get("stderr") or result.get("msg") or "no report").split())
        return [[host, "doctor", f"The doctor says nothing ({said}). Deploy to this host."]]
    return [
        [host, check["name"], f"{check['cause']} ({check['detail']}) {check['remedy']}"]
        for check in report["checks"]
        if check["state"] == "fail" and not check["follows"]
    ]


def canary_rows(canaries: Iterable[dict[str, str]], answer: dict[str, Any], monitor: str) -> list[Row]:
    """Return a row for each canary (`host`, `instance`) that is not in Prometheus' `answer`."""
    try:
        arrived = {found["metric"]["instance"] for found in answer["json"]["data"]["result"]}
    except (KeyError, TypeError):
        said = answer.get("msg", "no answer")
        return [[monitor, "prometheus", f"Prometheus does not answer ({said}). Deploy to this host."]]
    return [
        [canary["host"], "canary-visible", LOST] for canary in canaries if canary["instance"] not in arrived
    ]


def target_rows(answer: dict[str, Any], monitor: str) -> list[Row]:
    """Return a row for each target in Prometheus' `answer` that it does not reach."""
    found = ((answer.get("json") or {}).get("data") or {}).get("activeTargets") or []
    return [
        [
            monitor,
            "target-down",
            (
                f"Prometheus does not reach {each['labels'].get('instance')} ({each['labels'].get('job')}). "
                "Look whether that service runs."
            ),
        ]
        for each in found
        if each["health"] == "down"
    ]


def row_lines(rows: list[Row]) -> list[str]:
    """Return the rows as lines in columns."""
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)] if rows else []
    return [f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}" for row in rows]


class FilterModule:
    """The filters of this file, by the names that templates use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return name → function."""
        return {
            "doctor_report": doctor_report,
            "doctor_rows": doctor_rows,
            "canary_rows": canary_rows,
            "target_rows": target_rows,
            "row_lines": row_lines,
        }
