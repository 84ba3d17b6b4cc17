"""The services of the monitoring host, however they are installed there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.machine import Machine

UNITS = {
    "prometheus": "prometheus",
    "pushgateway": "prometheus-pushgateway",
    "alertmanager": "prometheus-alertmanager",
}


@dataclass(frozen=True)
class Services:
    """Services by their roles' names, as units of systemd or as containers."""

    machine: Machine
    containers: bool

    @classmethod
    def of(cls, machine: Machine) -> Services:
        """Look how they are installed on a host."""
        look = (
            "command -v docker >/dev/null && docker ps --quiet --filter name=claude-code-prometheus || true"
        )
        return cls(machine, containers=bool(machine.run("sh", "-c", look).strip()))

    def stop(self, name: str) -> None:
        """Stop a service, as its operator would."""
        self._do(["docker", "stop", f"claude-code-{name}"], ["systemctl", "stop", UNITS[name]])

    def start(self, name: str) -> None:
        """Start it again."""
        self._do(["docker", "start", f"claude-code-{name}"], ["systemctl", "start", UNITS[name]])

    def reload(self, name: str) -> None:
        """Have it read its configuration; after "docker kill" Docker would leave it down when it falls."""
        hang_up = ["docker", "exec", f"claude-code-{name}", "kill", "-HUP", "1"]
        self._do(hang_up, ["systemctl", "reload", UNITS[name]])

    def _do(self, with_docker: list[str], with_systemd: list[str]) -> None:
        self.machine.run(*(with_docker if self.containers else with_systemd))
