"""A bare Debian machine in a container, with a clone of the repository on it and nothing else."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.machine import Machine
from tests.support.promql import Prometheus, Service

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / ".cache/client/node_modules/@anthropic-ai/claude-code-linux-x64/claude"
CLONE = "/srv/clone"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
CALLERS_BUNDLE = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or ""
SYSTEMD = (
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--tmpfs", "/run", "--tmpfs", "/tmp"),
)
BOOT = "umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec /sbin/init"
GET = """
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen(sys.argv[1], timeout=10)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status)
print(answer.read().decode(), end="")
"""


@dataclass(frozen=True)
class Run:
    """A finished command: exit status, both outputs as one text, and its wall time in seconds."""

    status: int
    output: str
    seconds: float


@dataclass(frozen=True)
class Loopback(Service):
    """A service that only its own machine can reach."""

    machine: Machine | None = None

    def get(self, path: str, *, authenticated: bool = True) -> tuple[int, bytes]:
        """Return status and body of one GET, asked on the machine."""
        assert self.machine
        assert authenticated
        url = f"http://{self.address}:{self.port}{path}"
        status, _, body = self.machine.run("python3", "-c", GET, url).partition("\n")
        return int(status), body.encode()


# Until then the system itself still writes what a test would take for somebody else's doing.
BOOTED = """
tries=0
until systemctl is-system-running --wait 2>/dev/null | grep -qE 'running|degraded'; do
    tries=$((tries + 1))
    [ "$tries" -lt 120 ] || exit 1
    sleep 0.5
done
"""


@dataclass(frozen=True)
class Bare(Machine):
    """One such machine, and the user who deploys on it: root, or somebody who has sudo."""

    operator: str = "root"

    @classmethod
    def start_from(cls, image: str, *, name: str, operator: str) -> Bare:
        """Start a machine from an image; one whose name ends in systemd boots it."""
        remove(name)
        boots = image.endswith("systemd")
        options = [*(SYSTEMD if boots else ("--init",)), "--volume", f"{CLIENT}:/usr/local/bin/claude:ro"]
        options += ["--volume", f"{ROOT / 'tests/support'}:/usr/local/share/ccpo-tests:ro"]
        if CALLERS_BUNDLE:
            options += ["--volume", f"{CALLERS_BUNDLE}:{BUNDLE}:ro"]
        command = ["/bin/sh", "-c", BOOT] if boots else ["sleep", "infinity"]
        docker("run", "--detach", "--name", name, "--hostname", "fresh", *options, image, *command)
        machine = cls(name, operator)
        if boots:
            machine.run("sh", "-c", BOOTED)
        if operator != "root":
            machine.run("useradd", "--create-home", operator)
            machine.write(f"/etc/sudoers.d/{operator}", f"{operator} ALL=(ALL) NOPASSWD: ALL\n")
        return machine

    def clone(self) -> None:
        """Put a clone of the repository on the machine, as the operator's."""
        command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listing = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode()
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name in sorted(set(listing.split("\0")) - {""}):
                if (ROOT / name).exists():
                    tar.add(ROOT / name, arcname=name, recursive=False, filter=as_root)
        self.run("mkdir", "-p", CLONE)
        copy = ["docker", "cp", "-", f"{self.name}:{CLONE}"]
        subprocess.run(copy, input=archive.getvalue(), check=True, timeout=60)
        self.run("chown", "-R", f"{self.operator}:", CLONE)

    def deploy(self, *arguments: str, user: str = "") -> Run:
        """Run ``./deploy`` as its reader would, with the caller's settings for TLS handed through."""
        return self.watch("./deploy", *arguments, user=user or self.operator)

    def watch(self, *command: str, user: str = "root") -> Run:
        """Run a command in the clone; its failure is the caller's to judge."""
        env = ["--env", f"PIP_CERT={BUNDLE}"] if CALLERS_BUNDLE else []
        where = ["--user", user, "--workdir", CLONE]
        started = time.monotonic()
        done = subprocess.run(
            ["docker", "exec", *env, *where, self.name, "timeout", "-k", "5", "400", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=420,
            check=False,
        )
        return Run(done.returncode, done.stdout, time.monotonic() - started)

    def changes(self) -> set[str]:
        """Return what differs from the image, one ``KIND PATH`` each."""
        return set(docker("diff", self.name).splitlines())

    def prometheus(self) -> Prometheus:
        """Return the machine's own Prometheus."""
        return Prometheus(Loopback("prometheus", "127.0.0.1", 9090, machine=self))


def as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Give an archive's entry to root, whoever owns it here."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def docker(*arguments: str) -> str:
    """Run docker; return its output, stripped."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def remove(name: str) -> None:
    """Remove the machine of that name, if there is one."""
    subprocess.run(["docker", "rm", "--force", name], capture_output=True, timeout=60, check=False)
