"""The doors of the scenario ``fleet``: what listens where, who knocks, and if the daemons still stand."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.support import stranger
from tests.support.stranger import Ask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.fleet import Fleet
    from tests.support.machine import Machine

MONITOR, PUSH, SCRAPE, WRITE = "fleet-monitor", "fleet-dev-push", "fleet-dev-scrape", "fleet-dev-write"
STRANGER = "/usr/local/share/ccpo-tests/stranger.py"
# What listens on each host, as ss writes it: the user who is asked for, or nobody on loopback.
OWN = {"tcp 127.0.0.1:4318": "", "tcp 127.0.0.1:9468": ""}
DOORS: dict[str, dict[str, str]] = {
    MONITOR: {
        "tcp *:9090": "prometheus",
        "tcp *:9091": "pushgateway",
        "tcp *:9093": "alertmanager",
        "tcp 0.0.0.0:8428": "victoriametrics",
    },
    PUSH: OWN,
    SCRAPE: {"tcp 127.0.0.1:4318": "", "tcp 0.0.0.0:9468": "exporter"},
    WRITE: {**OWN, "tcp 127.0.0.1:9095": ""},
}
LOCKED = [(host, door) for host, doors in DOORS.items() for door, user in doors.items() if user]
OPEN = [(host, door) for host, doors in DOORS.items() for door, user in doors.items() if not user]
# Docker's resolver, the operator's way in, and the tests' own stand-in.
FOREIGN = re.compile(r"\S+ (127\.0\.0\.11:\d+|\S+:22|127\.0\.0\.1:8089)$")
UNITS = {
    MONITOR: ("prometheus", "prometheus-pushgateway", "prometheus-alertmanager", "victoria-metrics"),
    PUSH: ("claude-code-exporter",),
    SCRAPE: ("claude-code-exporter",),
    WRITE: ("claude-code-exporter", "claude-code-agent"),
}
# A unit's process and the most memory that this has had so far, in kB.
PEAK = 'for unit in "$@"; do grep VmHWM "/proc/$(systemctl show -p MainPID --value "$unit")/status"; done'


def port(door: str) -> int:
    """Return a door's port."""
    return int(door.rpartition(":")[2])


@dataclass(frozen=True)
class Scene:
    """The fleet, and the password of each user that its services know."""

    fleet: Fleet
    passwords: Mapping[str, str]

    def host(self, name: str) -> Machine:
        """Return a host."""
        return self.fleet.monitor if name == MONITOR else self.fleet.developers[name]

    def known(self, user: str, password: str | None = None) -> dict[str, str]:
        """Return the header of somebody who knows a user's password, or says another one."""
        pair = f"{user}:{self.passwords.get(user, '') if password is None else password}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def ask(self, host: str, door: str, path: str = "/", **more: Any) -> Ask:
        """Return a request to a door: from the network, or on loopback where only that is listened on."""
        locked = bool(DOORS[host][door])
        address = self.host(host).address() if locked else "127.0.0.1"
        return replace(Ask(address, port(door), path, tls=locked), **more)

    def answers(self, host: str, door: str, asks: Sequence[Ask]) -> list[tuple[int, str]]:
        """Ask as a stranger in the network, or on loopback as one of the host's own people."""
        if DOORS[host][door]:
            return [stranger.answer(ask) for ask in asks]
        return self.by(host, asks)

    def by(self, host: str, asks: Sequence[Ask], *, user: str = "bob") -> list[tuple[int, str]]:
        """Ask on a host as one of its people."""
        given = json.dumps([asdict(ask) for ask in asks])
        said = self.host(host).run("python3", STRANGER, "ask", user=user, stdin=given, seconds=120)
        return [(status, text) for status, text in json.loads(said)]

    def listening(self, host: str) -> set[str]:
        """Return the doors that a host really has."""
        lines = [line.split() for line in self.host(host).run("ss", "-Hlntu").splitlines()]
        return {door for line in lines if not FOREIGN.match(door := f"{line[0]} {line[4]}")}

    def standing(self) -> dict[str, str]:
        """Return state, process, start and restarts of every daemon."""
        show = "Id,ActiveState,MainPID,ExecMainStartTimestampMonotonic,NRestarts"
        return {
            name: self.host(name).run("systemctl", "show", f"--property={show}", *units)
            for name, units in UNITS.items()
        }

    def peaks(self) -> dict[str, int]:
        """Return the most memory that each daemon has had so far, in bytes."""
        found = {}
        for name, units in UNITS.items():
            lines = self.host(name).run("sh", "-c", PEAK, "sh", *units).splitlines()
            for unit, line in zip(units, lines, strict=True):
                found[f"{name} {unit}"] = int(line.split()[1]) * 1024
        return found
