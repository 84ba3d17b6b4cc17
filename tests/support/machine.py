"""A host under test: a container in which commands run as somebody, each with a time limit on both sides."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")


class CommandError(AssertionError):
    """A command on a host failed, or took too long; the text says which, where, and what it printed."""


@dataclass(frozen=True)
class Running:
    """A command that runs in a container."""

    process: subprocess.Popen[str]
    what: str
    seconds: float

    def output(self, *, check: bool = True) -> str:
        """Wait for the end and return what was printed; ``check``: a status other than 0 is an error."""
        try:
            out, err = self.process.communicate(timeout=self.seconds + 10)
        except subprocess.TimeoutExpired as late:
            self.process.kill()
            out, err = self.process.communicate()
            report = f"{self.what}\ndid not end in {self.seconds} s\n{out}\n{err}"
            raise CommandError(report) from late
        if check and self.process.returncode != 0:
            report = f"{self.what}\nended with {self.process.returncode}\n{out}\n{err}"
            raise CommandError(report)
        return out


@dataclass(frozen=True)
class Machine:
    """The container of that name."""

    name: str

    def start(
        self,
        command: Sequence[str],
        *,
        user: str = "root",
        cwd: str = "/",
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        seconds: float = 60,
    ) -> Running:
        """Start a command; after ``seconds`` it is killed inside the container, soon after outside too."""
        options = ["--user", user, "--workdir", cwd]
        for key, value in (env or {}).items():
            options += ["--env", f"{key}={value}"]
        argv = ["docker", "exec", "--interactive", *options, self.name]
        argv += ["timeout", "-k", "5", f"{seconds:.0f}", *command]
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if stdin is not None and process.stdin is not None:
            process.stdin.write(stdin)
            process.stdin.close()
            process.stdin = None
        return Running(process, f"{self.name}: {' '.join(command)[:500]}", seconds)

    def run(
        self,
        *command: str,
        user: str = "root",
        stdin: str | None = None,
        seconds: float = 60,
        check: bool = True,
    ) -> str:
        """Run a command to its end and return what it printed."""
        return self.start(command, user=user, stdin=stdin, seconds=seconds).output(check=check)

    def write(self, path: str, text: str, *, user: str = "root") -> None:
        """Write a file as a user, and make its directory."""
        self.run("sh", "-c", 'mkdir -p "${0%/*}" && cat >"$0"', path, user=user, stdin=text)

    def address(self) -> str:
        """Return the container's address on its first network."""
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        found = subprocess.run(
            ["docker", "inspect", "--format", template, self.name],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return found.stdout.split()[0]


def eventually(look: Callable[[], T], *, accept: Callable[[T], bool], seconds: float) -> T:
    """Look every half second until ``accept`` is content or the time is over; return what was seen last."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if accept(seen) or time.monotonic() >= deadline:
            return seen
        time.sleep(0.5)
