"""Every daemon that the product starts is in a sandbox, Debian's own and those of roles to come included."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.fleet import Fleet
    from tests.support.machine import Machine

MOST = 2.0  # of the 10 points by which systemd-analyze measures exposure
SYSTEM = ("systemd-", "dbus", "ssh", "getty@", "console-getty", "user@", "cron", "serial-getty@")


def daemons(machine: Machine) -> list[str]:
    """Return the services that run on a host and are not the system's own."""
    listed = machine.run(
        "systemctl", "list-units", "--type=service", "--state=running", "--plain", "--no-legend"
    )
    return [name for name in (line.split()[0] for line in listed.splitlines()) if not name.startswith(SYSTEM)]


def exposure(machine: Machine, unit: str) -> float:
    """Return what systemd says of a unit, from 0 (closed) to 10."""
    said = machine.run("systemd-analyze", "security", "--no-pager", unit)
    return float(said.rsplit(f"{unit}: ", 1)[1].split()[0])


def test_every_daemon_on_every_host_is_in_a_sandbox(fleet: Fleet) -> None:
    for machine in (fleet.monitor, *fleet.developers.values()):
        found = {unit: exposure(machine, unit) for unit in daemons(machine)}
        assert {unit: points for unit, points in found.items() if points > MOST} == {}
        ours = "prometheus.service" if machine is fleet.monitor else "claude-code-exporter.service"
        assert ours in found


def test_what_is_in_no_sandbox_would_be_seen(fleet: Fleet) -> None:
    assert exposure(fleet.monitor, "ssh.service") > MOST
