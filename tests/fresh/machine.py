"""A bare Debian machine in a container, with a clone of the repository on it and nothing else."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import time
from dataclasses import dataclass

from tests.support.machine import Machine
from tests.support.plays import BOOT, CLIENT, ROOT, SYSTEMD
from tests.support.promql import Prometheus, Service

CLONE = "/srv/clone"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
CALLERS_BUNDLE = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or ""
# What a module has begun it ends, as on a host whose connection broke off.
KILL = """
import os, pathlib, time
def running(is_one):
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().split(b"\\0")
        except OSError:
            continue
        if is_one(command):
            yield int(path.name)
for pid in running(lambda command: any(part.endswith(b"/ansible-playbook") for part in command)):
    os.kill(pid, 9)
until = time.monotonic() + 60
while any(running(lambda command: command == [b"/usr/bin/python3", b""])) and time.monotonic() < until:
    time.sleep(0.1)
"""
ASK = """
import sys, urllib.error, urllib.request
body = sys.stdin.read().encode() or None
kind = {"Content-Type": "application/json"} if body and body.startswith(b"{") else {}
request = urllib.request.Request(sys.argv[2], method=sys.argv[1], data=body, headers=kind)
try:
    answer = urllib.request.urlopen(request, timeout=10)
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
        assert authenticated
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: str = "") -> tuple[int, bytes]:
        """Return status and body of a request; a body that begins with a brace is sent as JSON."""
        assert self.machine
        url = f"http://{self.address}:{self.port}{path}"
        said = self.machine.run("python3", "-c", ASK, method, url, stdin=body)
        status, _, answer = said.partition("\n")
        return int(status), answer.encode()


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
        self.checkout(working_tree())

    def checkout(self, tree: bytes) -> None:
        """Have the clone hold another tree, given as a tar archive; what is not in git stays."""
        self.run("mkdir", "-p", CLONE)
        ours = ["-mindepth", "1", "-maxdepth", "1", "!", "-name", ".cache", "!", "-name", ".trust"]
        self.run("find", CLONE, *ours, "-exec", "rm", "-r", "{}", "+")
        copy = ["docker", "cp", "-", f"{self.name}:{CLONE}"]
        subprocess.run(copy, input=tree, check=True, timeout=60)
        self.run("chown", "-R", f"{self.operator}:", CLONE)

    def deploy(self, *arguments: str, user: str = "") -> Run:
        """Run ``./deploy`` as its reader would, with the caller's settings for TLS handed through."""
        return self.watch("./deploy", *arguments, user=user or self.operator)

    def break_off(self, task: str, *arguments: str) -> str:
        """Run ``./deploy``, kill it when it is at a task (``role : name``), and return what it said."""
        process = subprocess.Popen(
            self.command("./deploy", *arguments, user=self.operator),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert process.stdout
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith(f"TASK [{task}]"):
                self.run("python3", "-c", KILL, seconds=90)
        process.wait(timeout=60)
        assert f"TASK [{task}]" in said, said
        assert process.returncode != 0, said
        return said

    def watch(self, *command: str, user: str = "root") -> Run:
        """Run a command in the clone; its failure is the caller's to judge."""
        started = time.monotonic()
        done = subprocess.run(
            self.command(*command, user=user),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=420,
            check=False,
        )
        return Run(done.returncode, done.stdout, time.monotonic() - started)

    def command(self, *command: str, user: str) -> list[str]:
        """Return what runs a command in the clone."""
        env = ["--env", f"PIP_CERT={BUNDLE}"] if CALLERS_BUNDLE else []
        where = ["--user", user, "--workdir", CLONE]
        return ["docker", "exec", *env, *where, self.name, "timeout", "-k", "5", "400", *command]

    def changes(self) -> set[str]:
        """Return what differs from the image, one ``KIND PATH`` each."""
        return set(docker("diff", self.name).splitlines())

    def prometheus(self) -> Prometheus:
        """Return the machine's own Prometheus."""
        return Prometheus(self.loopback(9090))

    def loopback(self, port: int) -> Loopback:
        """Return what listens on a port of the machine's loopback."""
        return Loopback("loopback", "127.0.0.1", port, machine=self)


def working_tree() -> bytes:
    """Return the repository's tree as it is here, changes and new files included, as a tar archive."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in sorted(set(listing.split("\0")) - {""}):
            if (ROOT / name).exists():
                tar.add(ROOT / name, arcname=name, recursive=False, filter=as_root)
    return archive.getvalue()


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
