"""The configurations that docs/scaling.md shows are ones that the role and Prometheus take."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from plugins.filter.remote_write import remote_write_config, remote_write_fault, remote_write_secrets
from tests.support.tools import tool

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")
SHOWN: list[Mapping[str, Any]] = [
    block
    for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    if "prometheus_remote_write" in (block := yaml.safe_load(text))
]


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: str(shown["prometheus_remote_write"][0]["name"]))
def test_a_configuration_that_is_shown_is_taken(shown: Mapping[str, Any], tmp_path: Path) -> None:
    entries = shown["prometheus_remote_write"]
    assert remote_write_fault(entries) == ""
    for name, secret in remote_write_secrets(entries).items():
        (tmp_path / name).write_text(secret)
    file = tmp_path / "prometheus.yml"
    config = {
        "global": {"external_labels": shown.get("prometheus_external_labels", {})},
        "remote_write": remote_write_config(entries, directory=str(tmp_path)),
    }
    # Without files of certificates, which are the host's.
    text = re.sub(r"/etc/ssl/[\w./-]+", str(file), yaml.safe_dump(config))
    file.write_text(text)
    done = subprocess.run(
        [tool("promtool"), "check", "config", "--syntax-only", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout


def test_three_stores_are_shown() -> None:
    assert [shown["prometheus_remote_write"][0]["name"] for shown in SHOWN] == [
        "victoriametrics",
        "mimir",
        "thanos",
    ]
