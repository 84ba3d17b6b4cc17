"""What a machine is, as far as an installer could change it: files, accounts, units, listeners."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.claude import PORT

if TYPE_CHECKING:
    from tests.support.machine import Machine

# Not of the system: the clone, what the tests mount, people's homes, and what every boot makes anew.
PRUNED = (
    *("/proc", "/sys", "/dev", "/run", "/tmp", "/srv", "/home"),
    *("/usr/local/share/ccpo-tests", "/usr/local/bin/claude"),
)
# What comes with Debian's packages and stays with them, beside the files that dpkg lists.
WITH_PACKAGES = re.compile(
    r"""
    /usr/(lib|share)/.*/__pycache__(/|$)
    | /var/(cache|log)/(?!.*claude)
    | /var/lib/(apt|dpkg|python|systemd/deb-systemd-helper-enabled|systemd/timers)/
    | /var/lib/(python|systemd/timers)$
    | /etc/(passwd|group|shadow|gshadow)-?$     # accounts are compared by themselves
    | /etc/ld\.so\.cache$ | /etc/inputrc$ | /etc/(lighttpd|python3)(/|$)
    | /etc/rc[0-6S]\.d/[KS]01(procps|prometheus|grafana|victoria-metrics)
    | /usr/local/lib/python3
    | /usr/s?bin/(sysctl|ps|kill)$
    | accounts\ (prometheus|grafana|_victoria-metrics):
    """,
    re.VERBOSE,
)
# Ansible's own working directory, of whoever it works as.
ANSIBLES = re.compile(r"/root/\.ansible(/|$)")
LOOK = r"""
set -eu
cd /
tree() { find / \( PRUNE \) -prune -o "$@"; }
echo '# files'
tree -printf '%p\t%y %M %U:%G %l\n'
echo '# hashes'
tree -type f -print0 | xargs -0 sha256sum --zero | tr '\0' '\n'
echo '# accounts'
getent passwd
getent group
echo '# listening'
awk '$4 == "0A" && $2 !~ /:API$/ {print FILENAME, $2}' /proc/net/tcp /proc/net/tcp6
echo '# units'
systemctl list-units --plain --no-legend --state=active --type=service,socket,timer 2>/dev/null |
    awk '{print $1}' || :
echo '# packages'
cat /var/lib/dpkg/info/*.list
"""


@dataclass(frozen=True)
class Snapshot:
    """``files``: path to kind, mode, owner and content's digest; the others as the system prints them."""

    files: dict[str, str]
    accounts: frozenset[str]
    listening: frozenset[str]
    units: frozenset[str]
    packaged: frozenset[str]

    def left_since(self, before: Snapshot) -> set[str]:
        """Return what is not as it was before, but what Debian's packages and Ansible itself keep there."""
        packaged = self.packaged | before.packaged
        return {
            one
            for one in self.differs_from(before)
            if one[2:] not in packaged and not WITH_PACKAGES.match(one[2:]) and not ANSIBLES.match(one[2:])
        }

    def differs_from(self, before: Snapshot) -> set[str]:
        """Return what is not as it was before, each as ``+``, ``-`` or ``~`` and what it is about."""
        found = {f"- {path}" for path in before.files.keys() - self.files.keys()}
        for path, state in self.files.items():
            if path not in before.files:
                found.add(f"+ {path}")
            elif before.files[path] != state:
                found.add(f"~ {path}")
        for name in ("accounts", "listening", "units"):
            here, there = getattr(self, name), getattr(before, name)
            found |= {f"+ {name} {one}" for one in here - there} | {f"- {name} {one}" for one in there - here}
        return found


def snapshot(machine: Machine) -> Snapshot:
    """Look at a machine."""
    prune = " -o ".join(f"-path {path}" for path in PRUNED)
    parts: dict[str, list[str]] = {}
    for line in machine.run(
        "sh", "-c", LOOK.replace("PRUNE", prune).replace("API", f"{PORT:04X}"), seconds=120
    ).splitlines():
        if line.startswith("# "):
            lines = parts.setdefault(line[2:], [])
        else:
            lines.append(line)
    files = dict(line.partition("\t")[::2] for line in parts["files"])
    for line in parts["hashes"]:
        digest, _, path = line.partition("  ")
        if path in files:  # else it came between the two looks, as a store's files do
            files[path] += digest
    return Snapshot(
        files=files,
        accounts=frozenset(parts["accounts"]),
        listening=frozenset(parts["listening"]),
        units=frozenset(parts["units"]),
        packaged=frozenset(re.sub("^/(bin|sbin|lib)/", r"/usr/\1/", path) for path in parts["packages"]),
    )
