"""The network between containers, which tests cut and mend."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.machine import Machine


def docker(*arguments: str) -> None:
    """Run a command of Docker's client. Raises ``CalledProcessError``."""
    subprocess.run(["docker", *arguments], check=True, capture_output=True, timeout=60)


@contextmanager
def cut(network: str, machines: Sequence[Machine]) -> Iterator[None]:
    """Take machines off their network while the block lasts; each comes back at its own address."""
    addresses = {machine.name: machine.address() for machine in machines}
    gone: list[str] = []
    try:
        for name in addresses:
            docker("network", "disconnect", network, name)
            gone.append(name)
        yield
    finally:
        for name in gone:
            docker("network", "connect", "--ip", addresses[name], network, name)
