"""Our Ansible modules, started by themselves as Ansible starts them on a host."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def run_module(module: Path, arguments: Mapping[str, Any], *, temporary: Path) -> dict[str, Any]:
    """Run a module to its end and return its answer; `temporary` is where it may write what it needs."""
    given = {**arguments, "_ansible_remote_tmp": str(temporary)}
    done = subprocess.run(
        [sys.executable, str(module)],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": given}),
        capture_output=True,
        text=True,
        check=False,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
