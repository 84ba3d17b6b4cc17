"""What playbooks/verify.yml makes of the doctors' reports."""

from __future__ import annotations

import json

from plugins.filter.doctor import LOST, canary_rows, doctor_rows, row_lines, target_rows

FAILED = {
    "name": "disk",
    "state": "fail",
    "detail": "0 MiB",
    "follows": "",
    "cause": "Full.",
    "remedy": "Empty it.",
}
FOLLOWS = {**FAILED, "name": "ledger", "follows": "disk"}
WELL = {"name": "shfmt", "state": "ok", "detail": "", "follows": ""}


def test_a_host_has_a_row_for_each_cause() -> None:
    report = json.dumps({"checks": [WELL, FAILED, FOLLOWS]})
    assert doctor_rows({"stdout": report, "rc": 1}, "dev") == [["dev", "disk", "Full. (0 MiB) Empty it."]]


def test_a_host_without_a_doctor_or_out_of_reach_has_a_row() -> None:
    assert doctor_rows({"msg": "No such file"}, "dev") == [
        ["dev", "doctor", "The doctor says nothing (No such file). Deploy to this host."]
    ]
    assert doctor_rows({"unreachable": True, "msg": "no route"}, "dev") == [
        ["dev", "unreachable", "Ansible does not reach the host: no route"]
    ]


def test_a_canary_that_did_not_arrive_and_a_target_that_is_down_have_rows() -> None:
    answer = {"json": {"data": {"result": [{"metric": {"instance": "a"}}]}}}
    canaries = [{"host": "dev-a", "instance": "a"}, {"host": "dev-b", "instance": "b"}]
    assert canary_rows(canaries, answer, "monitor") == [["dev-b", "canary-visible", LOST]]
    assert canary_rows(canaries, {"msg": "refused"}, "monitor")[0][:2] == ["monitor", "prometheus"]
    labels = {"instance": "x:1", "job": "j"}
    found = [{"labels": labels, "health": health} for health in ("up", "down", "unknown")]
    rows = target_rows({"json": {"data": {"activeTargets": found}}}, "monitor")
    assert [row[:2] for row in rows] == [["monitor", "target-down"]]
    assert target_rows({}, "monitor") == []


def test_rows_stand_in_columns() -> None:
    assert row_lines([["a", "disk", "x"], ["longer", "b", "y"]]) == ["a       disk  x", "longer  b     y"]
    assert row_lines([]) == []
