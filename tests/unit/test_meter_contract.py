"""The contract of metrics holds every metric of the design, once, and the documentation is made from it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from utils.meter import contract, exposition
from utils.meter.contract import CONTRACT
from utils.meter.series import Sample

from tests.unit.meter_world import NOW, World, captured, captured_lines, line

ROOT = Path(__file__).resolve().parent.parent.parent
METER = ROOT / "files/claude/hooks/utils/meter"


def test_the_documentation_holds_the_table_of_the_contract() -> None:
    assert contract.table() in (ROOT / "docs/metrics.md").read_text()


def test_the_readme_holds_the_overview_of_the_contract() -> None:
    assert contract.overview() in (ROOT / "README.md").read_text()


def printed(*arguments: str) -> str:
    command = [sys.executable, "-m", "meter.contract", *arguments]
    return subprocess.run(command, cwd=METER.parent, capture_output=True, check=True, text=True).stdout


def test_the_contract_prints_its_tables() -> None:
    assert printed() == contract.table()
    assert printed("--overview") == contract.overview()


def test_names_and_types_follow_the_rules_of_prometheus() -> None:
    for metric in CONTRACT.values():
        assert re.fullmatch(r"claude_code_[a-z0-9_]+[a-z0-9]", metric.name)
        assert metric.name.endswith("_total") == (metric.type == "counter")
        assert metric.name.endswith(("_seconds", "_total")) or metric.type == "gauge"
        assert bool(metric.buckets) == (metric.type == "histogram")
        assert list(metric.buckets) == sorted(set(metric.buckets))
        assert metric.help.endswith(".")
        assert "session_id" not in metric.labels or metric.type == "gauge"


def test_every_label_of_a_counter_is_closed_or_capped() -> None:
    open_labels = {
        label
        for metric in CONTRACT.values()
        if metric.type != "gauge"
        for label in metric.labels
        if not contract.closed(metric.name, label)
    }
    assert open_labels == {"model"}


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("Bash", "Bash"),
        ("Task", "Agent"),
        ("mcp__github__create_issue", "mcp"),
        ("mcp_tool", "mcp"),
        ("bash", "other"),
        ("", "other"),
        (None, "other"),
        ("Bash\n", "other"),
    ],
)
def test_tools_fold_into_the_closed_list(name: object, folded: str) -> None:
    assert contract.fold_tool(name) == folded


@pytest.mark.parametrize(
    ("model", "folded"),
    [
        ("claude-opus-5-5", "claude-opus-5-5"),
        ("us.anthropic.claude-opus-5-20260101-v1:0", "us.anthropic.claude-opus-5-20260101-v1:0"),
        ("claude-opus-5[1m]", "claude-opus-5"),
        ("a model", "other"),
        ('a"b', "other"),
        ("x" * 65, "other"),
        (7, "other"),
    ],
)
def test_what_does_not_look_like_a_model_is_other(model: object, folded: str) -> None:
    assert contract.fold_model(model) == folded


def whole_world(directory: Path) -> World:
    world = World(directory)
    world.write(*captured_lines())
    world.export(captured("metrics"))
    world.export(captured("logs"))
    world.write(line("Canary", p="größe"), line("PermissionRequest", k="Bash"), line("Stop"))
    world.ledger.tick(now=NOW + 20, boot_id="b")
    return world


def test_every_metric_but_the_exporters_own_comes_from_the_ledger(tmp_path: Path) -> None:
    found = [family.name for family in whole_world(tmp_path).ledger.families(now=NOW) if family.samples]
    missing = [
        name for name, metric in CONTRACT.items() if metric.source != contract.EXPORTER and name not in found
    ]
    assert missing == [
        "claude_code_security_audits_total",
        "claude_code_api_errors_total",
        "claude_code_api_retries_exhausted_total",
    ]
    assert found == [name for name in CONTRACT if name in found]


def test_the_text_is_what_prometheus_reads_and_says_what_the_families_say(tmp_path: Path) -> None:
    ledger = whole_world(tmp_path).ledger
    families = ledger.families(now=NOW)
    wanted = {(name, *sorted(labels.items())): value for f in families for name, labels, value in f.samples}
    text = ledger.exposition(now=NOW).decode()
    assert text == exposition.text(families)
    read = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert read == wanted
    strict = ledger.exposition(now=NOW, openmetrics=True).decode() + exposition.OPENMETRICS_END
    parsed = openmetrics_families(strict)  # type: ignore[no-untyped-call]
    assert {
        (s.name, *sorted(s.labels.items())): s.value for family in parsed for s in family.samples
    } == wanted


def test_what_was_rendered_is_rendered_anew_when_it_changes(tmp_path: Path) -> None:
    world = World(tmp_path)
    for number in range(3):
        world.write(line("UserPromptSubmit"), line("PostToolUse", k="Bash", i=f"u{number}", d=30))
        assert world.ledger.exposition(now=NOW).decode() == exposition.text(world.ledger.families(now=NOW))


def test_hostile_label_values_are_escaped() -> None:
    sample = Sample("m", {"l": 'a"b\\c\nd'}, 1)
    assert exposition.lines([sample]) == 'm{l="a\\"b\\\\c\\nd"} 1\n'


def test_the_meter_needs_no_newer_python_than_3_9() -> None:
    for path in METER.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))
        assert "from __future__ import annotations" in path.read_text() or path.name == "__init__.py"


def test_the_meter_needs_nothing_but_the_standard_library() -> None:
    for path in METER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [str(node.module)]
            assert all(name.split(".")[0] in sys.stdlib_module_names for name in names)
