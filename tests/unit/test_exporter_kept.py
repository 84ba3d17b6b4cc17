"""Clients that come while the exporter is dead wait for the next one: systemd keeps its socket."""

from __future__ import annotations

import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.support.exporter import UID, Exporter, cost, free_port, header, line, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Systemd:
    """What systemd does for a unit with NotifyAccess=main and FileDescriptorStoreMax=."""

    def __init__(self, directory: Path) -> None:
        self.address = str(directory / "notify")
        self.line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.line.bind(self.address)
        self.line.settimeout(10)
        self.kept: list[int] = []

    def start(self, exporter: Exporter) -> None:
        """Start the exporter, with the sockets that were kept of the one before."""
        number = len(self.kept)

        def prepare() -> None:
            os.environ["NOTIFY_SOCKET"] = self.address
            if number:
                os.dup2(self.kept[0], 3)
                os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(number), LISTEN_FDNAMES="otlp")

        with exporter.log.open("ab") as log:
            exporter.process = subprocess.Popen(
                exporter.command(), stderr=log, preexec_fn=prepare, pass_fds=(3,) if number else ()
            )

    def heard(self) -> str:
        """Return what the exporter told, and keep the sockets that it handed over."""
        message, descriptors, _flags, _address = socket.recv_fds(self.line, 4096, 4)
        self.kept += descriptors
        return message.decode()

    def close(self) -> None:
        self.line.close()
        for descriptor in self.kept:
            os.close(descriptor)


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    started = Systemd(tmp_path)
    yield started
    started.close()


def test_what_arrives_while_it_is_dead_counts_when_it_is_back(tmp_path: Path, systemd: Systemd) -> None:
    exporter = Exporter(tmp_path)
    (exporter.journals / f"{UID}.jsonl").write_bytes(header() + line("SessionStart"))
    with ThreadPoolExecutor(1) as pool:
        systemd.start(exporter)
        assert systemd.heard() == "FDSTORE=1\nFDNAME=otlp"
        wait_for(exporter.ready, "readiness")
        exporter.close()
        waiting = pool.submit(exporter.post, "/v1/metrics", cost(0.25))
        systemd.start(exporter)
        try:
            assert waiting.result(20)[0] == 200
            assert exporter.post("/v1/metrics", cost(0.5, at=1))[0] == 200
            exporter.stop()
            systemd.start(exporter)
            wait_for(exporter.ready, "readiness")
            wait_for(lambda: exporter.total("claude_code_spend_usd_total") == 0.75, "the whole sum")
        finally:
            exporter.close()


def test_a_socket_of_another_address_is_given_back(tmp_path: Path, systemd: Systemd) -> None:
    exporter = Exporter(tmp_path)
    systemd.start(exporter)
    systemd.heard()
    wait_for(exporter.ready, "readiness")
    exporter.close()
    exporter.otlp_port = free_port()
    exporter.settings["otlp_listen"] = f"127.0.0.1:{exporter.otlp_port}"
    systemd.start(exporter)
    try:
        assert systemd.heard() == "FDSTOREREMOVE=1\nFDNAME=otlp"
        assert systemd.heard() == "FDSTORE=1\nFDNAME=otlp"
        wait_for(exporter.ready, "readiness")
        assert exporter.post("/v1/metrics", cost(0.25))[0] == 200
    finally:
        exporter.close()
