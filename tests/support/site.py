"""Plays of ``site.yml`` on a converged Molecule scenario, as Molecule itself plays them."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.plays import QUICKLY, ROOT

RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Recap:
    """What Ansible counted on one host."""

    changed: int
    unreachable: int
    failed: int


@dataclass(frozen=True)
class Site:
    """A play that goes on."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, *arguments: str, playbook: str = "site.yml", quickly: bool = False) -> Site:
        """Start a playbook on the scenario's inventory; quickly: as plays.QUICKLY says."""
        directory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
        argv = ["ansible-playbook", "-i", str(directory / "inventory"), str(ROOT / playbook)]
        process = subprocess.Popen(
            [*argv, "-e", "grafana_unreachable=skip", *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(directory / "ansible.cfg"),
                "ANSIBLE_NOCOLOR": "1",
                **(QUICKLY if quickly else {}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        return cls(process)

    def end(self, *, seconds: float = 600) -> tuple[int, dict[str, Recap], str]:
        """Wait for its end; return exit status, recap by host, and all it printed."""
        try:
            out, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, _ = self.process.communicate()
            raise AssertionError(out[-5000:]) from None
        recap = {
            name: Recap(int(changed), int(unreachable), int(failed))
            for name, changed, unreachable, failed in RECAP.findall(out)
        }
        return self.process.returncode, recap, out
