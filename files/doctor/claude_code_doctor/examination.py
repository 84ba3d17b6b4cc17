"""The doctor as a whole: its command line, the order of its checks, and how it says what it found."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from claude_code_doctor import agent, arrival, client, exporter, hooks, settings, storage
from claude_code_doctor.catalogue import BY_NAME, CHECKS
from claude_code_doctor.finding import fail
from claude_code_doctor.site import MANIFEST, ManifestError, load, look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from claude_code_doctor.finding import Finding
    from claude_code_doctor.site import Host, Site

PARTS: tuple[Callable[[Host], Iterator[Finding]], ...] = (
    client.examine,
    settings.examine,
    hooks.examine,
    storage.examine,
    exporter.examine,
    agent.examine,
    arrival.examine,
)
CANARYS_WAY = BY_NAME["canary-visible"].after
MARKS = {"ok": "ok", "fail": "FAIL", "note": "note", "unseen": "-"}


def examine(host: Host) -> list[Finding]:
    """Return one finding for each check, in the catalogue's order; what another explains says so."""
    found: dict[str, Finding] = {}
    broken: list[str] = []
    for part in PARTS:
        try:
            for finding in part(host):
                found[finding.name] = finding
        except Exception as error:
            broken.append(f"{part.__module__.rpartition('.')[2]}: {error!r}")
    missing = "; ".join(broken) or "nothing looked at it"
    complete = [
        found.get(check.name, fail(check.name, f"it could not be looked at ({missing})")) for check in CHECKS
    ]
    return explained(complete)


def explained(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings, each failure with the first failed check that explains it."""
    failed = {finding.name for finding in findings if finding.state == "fail"}
    return [
        replace(finding, follows=next((name for name in BY_NAME[finding.name].after if name in failed), ""))
        if finding.state == "fail"
        else finding
        for finding in findings
    ]


def as_text(findings: Sequence[Finding], *, root: bool) -> str:
    """Return what a person reads: one line for each check, and a verdict as the last."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        check = BY_NAME[finding.name]
        line = f"{MARKS[finding.state]:4}  {finding.name:{width}}  "
        if finding.state == "fail" and finding.follows:
            line += f"{check.cause} ({finding.detail}) It follows from {finding.follows}."
        elif finding.state == "fail":
            line += f"{check.cause} ({finding.detail}) {check.remedy}"
        elif finding.state == "note":
            line += f"{check.cause} ({finding.detail})"
        else:
            line += finding.detail if finding.state == "ok" else f"not looked at: {finding.detail}"
        lines.append(" ".join(line.split("\n")))
    return "\n".join([*lines, verdict(findings, root=root)]) + "\n"


def verdict(findings: Sequence[Finding], *, root: bool) -> str:
    """Return one sentence about all findings."""
    causes = [finding.name for finding in findings if finding.state == "fail" and not finding.follows]
    unlooked = sum(finding.state == "unseen" for finding in findings)
    rest = f" {unlooked} checks could not look{'' if root else '; root sees more'}." if unlooked else ""
    if causes:
        return f"Not well: {', '.join(causes)}.{rest}"
    return f"All is well.{rest}"


def as_json(findings: Sequence[Finding], site: Site, *, began: float) -> str:
    """Return what a program reads; docs/doctor.md describes it. began: when the examination did."""
    checks = []
    for finding in findings:
        entry: dict[str, str] = asdict(finding)
        if finding.state == "fail":
            entry |= {"cause": BY_NAME[finding.name].cause, "remedy": BY_NAME[finding.name].remedy}
        checks.append(entry)
    causes = [finding.name for finding in findings if finding.state == "fail" and not finding.follows]
    whole = {
        "instance": site.instance,
        "version": site.version,
        "time": int(began),
        # Whether the synthetic event can be expected in Prometheus.
        "canary": all(
            finding.state in ("ok", "note", "unseen") for finding in findings if finding.name in CANARYS_WAY
        ),
        "healthy": not causes,
        "causes": causes,
        "checks": checks,
    }
    return json.dumps(whole, indent=1) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Examine this host; returns 0 when nothing failed, 1 when something did, 2 without a manifest."""
    parser = argparse.ArgumentParser(
        prog="claude-code-doctor",
        description="Looks at everything that Claude Code's guard and numbers need here.",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--quick", action="store_true", help="do not wait for the synthetic event in Prometheus"
    )
    parser.add_argument(
        "--wait", type=float, default=60.0, metavar="SECONDS", help="how long to wait for it (60)"
    )
    parser.add_argument("--manifest", type=Path, default=MANIFEST, help="what belongs on this host")
    asked = parser.parse_args(arguments)
    try:
        site = load(asked.manifest)
    except ManifestError as error:
        sys.stderr.write(f"claude-code-doctor: {error}\n")
        return 2
    began = time.time()
    host = look(site, quick=asked.quick, wait=asked.wait)
    findings = examine(host)
    if asked.json:
        sys.stdout.write(as_json(findings, site, began=began))
    else:
        sys.stdout.write(as_text(findings, root=host.root))
    return int(any(finding.state == "fail" for finding in findings))
