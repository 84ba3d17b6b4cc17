"""A bare Debian machine in a container, with a clone of the repository on it and nothing else."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / ".cache/client/node_modules/@anthropic-ai/claude-code-linux-x64/claude"
CLONE = "/srv/clone"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
SYSTEMD = (
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--tmpfs", "/run", "--tmpfs", "/tmp:exec"),
)
INIT = "umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec /sbin/init"

# Runs on the machine, which has no curl: prints the answer of Prometheus to the query in argv.
ASK = """
import json, sys, urllib.parse, urllib.request
body = urllib.parse.urlencode({"query": sys.argv[1]}).encode()
with urllib.request.urlopen("http://127.0.0.1:9090/api/v1/query", body, timeout=10) as answer:
    print(json.dumps(json.load(answer)["data"]["result"]))
"""


@dataclass(frozen=True)
class Run:
    """A finished command: exit status, both outputs as one text, and its wall time in seconds."""

    status: int
    output: str
    seconds: float


@dataclass(frozen=True)
class Machine:
    """One running container, and the user who deploys on it: root, or somebody who has sudo."""

    name: str
    operator: str

    @classmethod
    def start(cls, name: str, *, image: str, operator: str) -> Machine:
        """Start a machine from an image; one whose image name ends in systemd boots it."""
        stop(name)
        boots = image.endswith("systemd")
        options = [*(SYSTEMD if boots else ("--init",)), "-v", f"{CLIENT}:/usr/local/bin/claude:ro"]
        bundle = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
        if bundle:
            options += ["-v", f"{bundle}:{BUNDLE}:ro"]
        command = ["/bin/sh", "-c", INIT] if boots else ["sleep", "infinity"]
        docker("run", "--detach", "--name", name, "--hostname", "fresh", *options, image, *command)
        machine = cls(name, operator)
        if operator != "root":
            machine.must("useradd", "--create-home", operator)
            machine.write(f"/etc/sudoers.d/{operator}", f"{operator} ALL=(ALL) NOPASSWD: ALL\n")
        return machine

    def run(
        self,
        *command: str,
        user: str = "root",
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        stdin: bytes | None = None,
        timeout: float = 300.0,
    ) -> Run:
        """Run a command on the machine; its failure is the caller's to judge."""
        variables = [part for key, value in (env or {}).items() for part in ("--env", f"{key}={value}")]
        started = time.monotonic()
        done = subprocess.run(
            ["docker", "exec", "-i", "--user", user, "--workdir", cwd, *variables, self.name, *command],
            input=stdin or b"",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
        return Run(done.returncode, done.stdout.decode(errors="replace"), time.monotonic() - started)

    def must(self, *command: str, **options: Any) -> str:
        """Run a command that has to succeed; return what it printed."""
        done = self.run(*command, **options)
        assert done.status == 0, f"{self.name}: {' '.join(command)}: {done.status}\n{done.output}"
        return done.output

    def write(self, path: str, text: str) -> None:
        """Write a file that everybody may read."""
        self.must("sh", "-c", 'cat >"$1" && chmod 0644 "$1"', "sh", path, stdin=text.encode())

    def clone(self) -> None:
        """Put a clone of the repository on the machine, as the operator's."""
        listing = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name in sorted(set(listing.decode().split("\0")) - {""}):
                if (ROOT / name).exists():
                    tar.add(ROOT / name, arcname=name, recursive=False, filter=as_root)
        self.must("mkdir", "-p", CLONE)
        self.must("tar", "-C", CLONE, "-xf", "-", stdin=archive.getvalue())
        self.must("chown", "-R", f"{self.operator}:", CLONE)

    def deploy(self, *arguments: str, user: str = "") -> Run:
        """Run ``./deploy`` as its reader would, with the caller's settings for TLS handed through."""
        env = {"PIP_CERT": BUNDLE} if os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") else {}
        return self.run("./deploy", *arguments, user=user or self.operator, env=env, cwd=CLONE, timeout=420.0)

    def changes(self) -> set[str]:
        """Return what differs from the image, one ``KIND PATH`` each."""
        return set(docker("diff", self.name).splitlines())

    def ask(self, promql: str) -> list[dict[str, Any]]:
        """Ask the machine's Prometheus; return the vector's samples."""
        answer: list[dict[str, Any]] = json.loads(self.must("python3", "-c", ASK, promql))
        return answer

    def counts(self, promql: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Ask for a vector and return its values by the named labels' values; zeros are left out."""
        return {
            tuple(sample["metric"].get(label, "") for label in labels): float(sample["value"][1])
            for sample in self.ask(promql)
            if float(sample["value"][1])
        }


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


def stop(name: str) -> None:
    """Remove a machine of that name, if there is one."""
    subprocess.run(["docker", "rm", "--force", name], capture_output=True, timeout=60, check=False)


def eventually(ask: Callable[[], T], expected: T, *, within: float) -> T:
    """Ask until the answer is the expected one or ``within`` seconds are over; return the last answer."""
    deadline = time.monotonic() + within
    while (found := ask()) != expected and time.monotonic() < deadline:
        time.sleep(1)
    return found
