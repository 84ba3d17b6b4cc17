"""Owner, group and mode of every file and folder that a run leaves on a host: a new one needs an entry."""

from __future__ import annotations

import re
import subprocess
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pytest

from tests.support.doors import MONITOR, PUSH, SCRAPE, WRITE

if TYPE_CHECKING:
    from tests.support.doors import Scene
    from tests.support.machine import Machine

# Brought by packages, the system, Ansible, Docker, and by the scenario's own preparation and tests.
NOT_OURS = re.compile(
    r"""
    .*/__pycache__(/.*)?
    | /(home|run|tmp|var/tmp)/.*
    | /usr/local/(bin/claude|share/ccpo-tests)
    | /root/\.ansible(/.*)?
    | /(usr/bin|usr/sbin|usr/lib|lib)/(?!.*claude).*
    | /var/(cache|log)/(?!.*claude).*
    | /var/lib/(apt|dbus|dpkg|python|systemd|ucf|wtmpdb)(/.*)?
    | /(etc|var)/\.updated
    | /etc/(hosts\.(allow|deny)|inputrc|sub[ug]id-?|lighttpd/.*|lighttpd|runit/.*|ssh/.*)
    | /etc/rc[0-6S]\.d/.*
    | /etc/systemd/(system|user)/.*ssh.*
    | /etc/systemd/user/.*
    """,
    re.VERBOSE,
)
LOOK = """
sort >/tmp/added
cat /var/lib/dpkg/info/*.list | sort -u >/tmp/packaged
comm -23 /tmp/added /tmp/packaged | tr '\\n' '\\0' | xargs -0 stat --format '%n\t%U:%G %a' 2>/dev/null || true
rm /tmp/added /tmp/packaged
"""
# States: folders and files that everybody reads, links, and what is a service's alone.
FOLDER, FILE, LINK, PROGRAM = "root:root 755", "root:root 644", "root:root 777", "root:root 755"
UNITS = "/etc/systemd/system"
TRUST = "/etc/claude-code-observability-trust"
STATE = "/var/lib/claude-code-observability"


def trust(consumer: str, group: str, *passwords: str) -> dict[str, str]:
    """Return what role trust installs for a service, closed to all but that."""
    names = ("ca.crt", "host.crt", "host.key", *(f"{user}.password" for user in passwords))
    files = {f"{TRUST}/{consumer}/{name}": f"root:{group} 640" for name in names}
    return {TRUST: FOLDER, f"{TRUST}/{consumer}": f"root:{group} 750", **files}


def record(unit: str) -> dict[str, str]:
    """Return what is remembered of the files that a daemon has read."""
    return {f"{STATE}-daemons": "root:root 700", f"{STATE}-daemons/{unit}.json": "root:root 600"}


def daemon(unit: str) -> dict[str, str]:
    """Return what makes one of Debian's units start, in a sandbox."""
    return {
        **record(unit),
        f"{UNITS}/multi-user.target.wants/{unit}.service": LINK,
        f"{UNITS}/{unit}.service.d": FOLDER,
        f"{UNITS}/{unit}.service.d/50-claude-code-observability.conf": FILE,
        f"/etc/default/{unit}.before-claude-code-observability": FILE,
    }


MONITORING = {
    **trust("alertmanager", "prometheus"),
    **trust(
        "prometheus", "prometheus", "alertmanager", "exporter", "prometheus", "pushgateway", "victoriametrics"
    ),
    f"{TRUST}/prometheus/expiry.yml": "root:prometheus 640",
    **trust("pushgateway", "prometheus"),
    **trust("victoriametrics", "_victoria-metrics", "victoriametrics"),
    **daemon("prometheus"),
    **daemon("prometheus-pushgateway"),
    **daemon("prometheus-alertmanager"),
    **daemon("victoria-metrics"),
    f"{UNITS}/victoria-metrics.service.d/60-claude-code-observability-secret.conf": FILE,
    "/etc/victoria-metrics": "root:root 700",
    "/etc/victoria-metrics/secret.env": "root:root 600",
    "/etc/prometheus/alertmanager-secrets": "root:prometheus 750",
    "/etc/prometheus/alertmanager.yml.before-claude-code-observability": FILE,
    "/etc/prometheus/prometheus.yml.before-claude-code-observability": FILE,
    "/etc/prometheus/claude-code-observability-web.yml": "root:prometheus 640",
    "/etc/prometheus/claude-code-observability-alertmanager-web.yml": "root:prometheus 640",
    "/etc/prometheus/claude-code-observability-pushgateway-web.yml": "root:prometheus 640",
    "/etc/prometheus/rules": "root:prometheus 750",
    "/etc/prometheus/rules/claude-code-observability.yml": "root:prometheus 640",
    "/etc/prometheus/targets": "root:prometheus 750",
    "/etc/prometheus/targets/claude_code.yml": "root:prometheus 640",
}
# What the package brought, in its place: not new, but ours.
REPLACED = {
    "/etc/prometheus/prometheus.yml": "root:prometheus 640",
    "/etc/prometheus/alertmanager.yml": "root:prometheus 640",
    **{
        f"/etc/default/{name}": FILE
        for name in ("prometheus", "prometheus-pushgateway", "prometheus-alertmanager", "victoria-metrics")
    },
}
# What the daemons write: each its own, and at most its group reads it.
DATA = {
    "/var/lib/prometheus/*": (
        "prometheus:prometheus 640",
        "prometheus:prometheus 600",
        "prometheus:prometheus 750",
    ),
    "/var/lib/victoria-metrics/*": tuple(
        f"_victoria-metrics:_victoria-metrics {mode}" for mode in ("640", "700", "750")
    ),
    f"{STATE}/ledger/*": ("claude-exporter:claude-exporter 600",),
    f"{STATE}/agent/*": ("prometheus:prometheus 640", "prometheus:prometheus 750"),
    f"{STATE}/journal/*.canary.jsonl": ("claude-exporter:claude-exporter 640",),
    f"{STATE}/journal/*.jsonl": tuple(
        f"{user}:claude-exporter 640" for user in ("alice", "bob", "operator", "root")
    ),
    "/usr/local/lib/claude-code-observability/*": (FOLDER, FILE),
}
DEVELOPERS = {
    **trust("claude_exporter", "claude-exporter", "exporter", "pushgateway"),
    **record("claude-code-exporter"),
    f"{UNITS}/claude-code-exporter.service": FILE,
    f"{UNITS}/multi-user.target.wants/claude-code-exporter.service": LINK,
    "/etc/claude-code": FOLDER,
    "/etc/claude-code/.claude": FOLDER,
    "/etc/claude-code/.claude/commands": FOLDER,
    **{f"/etc/claude-code/.claude/commands/{name}.md": FILE for name in ("blocked", "meter", "telemetry")},
    "/etc/claude-code/managed-settings.d": FOLDER,
    "/etc/claude-code/managed-settings.d/40-observability-telemetry.json": FILE,
    "/etc/claude-code/managed-settings.d/50-observability-hooks.json": FILE,
    "/etc/claude-code-observability": FOLDER,
    "/etc/claude-code-observability/doctor.json": FILE,
    "/etc/claude-code-observability/exporter.json": "root:claude-exporter 640",
    "/etc/claude-code-observability/hooks.json": FILE,
    "/etc/claude-code-observability/policy.json": FILE,
    "/usr/local/bin/claude-code-doctor": PROGRAM,
    "/usr/local/lib/claude-code-observability": FOLDER,
    STATE: FOLDER,
    f"{STATE}/journal": "claude-exporter:claude-exporter 3773",
    f"{STATE}/ledger": "claude-exporter:claude-exporter 700",
}
AGENT = {
    **trust("claude_agent", "prometheus", "agent"),
    **record("claude-code-agent"),
    f"{UNITS}/claude-code-agent.service": FILE,
    f"{UNITS}/claude-code-agent.service.d": FOLDER,
    f"{UNITS}/claude-code-agent.service.d/50-claude-code-observability.conf": FILE,
    f"{UNITS}/multi-user.target.wants/claude-code-agent.service": LINK,
    f"{UNITS}/prometheus.service": LINK,
    "/etc/claude-code-observability/agent.yml": "root:prometheus 640",
    f"{STATE}/agent": "prometheus:prometheus 700",
}
HOSTS = {
    MONITOR: MONITORING,
    PUSH: DEVELOPERS,
    SCRAPE: DEVELOPERS,
    WRITE: {**DEVELOPERS, **AGENT},
}


def states(machine: Machine, paths: str) -> dict[str, str]:
    """Return owner, group and mode of those of the paths, one a line, that no package lists."""
    lines = machine.run("sh", "-c", LOOK, stdin=paths).splitlines()
    return dict(line.partition("\t")[::2] for line in lines)


def added(machine: Machine) -> dict[str, str]:
    """Return what is on a host and neither in its image nor of a package."""
    done = subprocess.run(
        ["docker", "diff", machine.name], capture_output=True, text=True, timeout=60, check=True
    )
    new = [line[2:] for line in done.stdout.splitlines() if line.startswith("A ")]
    return states(machine, "\n".join(path for path in new if not NOT_OURS.fullmatch(path)) + "\n")


@pytest.mark.parametrize("host", HOSTS)
def test_every_file_and_folder_has_the_owner_the_group_and_the_mode_that_are_written_here(
    scene: Scene, host: str
) -> None:
    found = added(scene.host(host))
    data = {
        path for path in found if path not in HOSTS[host] and any(fnmatchcase(path, glob) for glob in DATA)
    }
    assert {path: state for path, state in found.items() if path not in data} == HOSTS[host]
    for path in data:
        glob = next(glob for glob in DATA if fnmatchcase(path, glob))
        assert found[path] in DATA[glob], path


def test_what_replaced_a_packages_own_is_no_more_open(scene: Scene) -> None:
    look = ("stat", "--format", "%n\t%U:%G %a", *REPLACED)
    found = dict(line.partition("\t")[::2] for line in scene.host(MONITOR).run(*look).splitlines())
    assert found == REPLACED
