"""Measure where one machine ends: `python3 bench/scaling.py [--through push|scrape] [HOSTS...]`.

A host's page is what a real ledger says after a developer's day in five projects. That many hosts put it on a
real Pushgateway, or show it to a real Prometheus, which evaluates this product's rules. Both programs are
those that ./test rules unpacks.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "files/claude/hooks"))

from bench.meter import CAPTURED, NOW, consume, lines, open_ledger  # noqa: E402
from tests.support.tools import tool  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECTS = 5
INTERVAL = 15
# Two scrapes and two evaluations of the rules, which come once a minute.
SETTLE = 130
RECORDED = "2357881f-da70-4230-955d-2f51404ba029"


def page() -> str:
    """Return the exposition of one developer's host."""
    with tempfile.TemporaryDirectory() as directory:
        ledger = open_ledger(directory)
        for project in range(PROJECTS):
            seed = f"{project}-"
            consume(ledger, lines(20, sessions=1, project=f"project{project}", seed=seed), journal=seed)
            for name, take in (
                ("capture-logs.json", ledger.otlp_logs),
                ("capture-metrics.json", ledger.otlp_metrics),
            ):
                payload = json.loads((CAPTURED / name).read_text().replace(RECORDED, f"{seed}0"))
                take(payload, digest=f"{seed}{name}".encode(), now=NOW)
        ledger.tick(now=NOW + 3600, boot_id="boot")
        return ledger.exposition(now=NOW + 3600).decode()


def series(text: str) -> int:
    """Return how many series a page has."""
    return sum(not line.startswith("#") for line in text.splitlines())


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(name: str, port: int, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program while the block lasts, once it is ready at its port."""
    with subprocess.Popen(
        [tool(name), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            for _ in range(300):
                try:
                    urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5).read()
                    break
                except (URLError, OSError):
                    time.sleep(0.1)
            yield process
        finally:
            process.terminate()


def memory(process: subprocess.Popen[bytes]) -> float:
    """Return the memory that a process holds, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextmanager
def pushed(hosts: int, text: str) -> Iterator[tuple[int, str]]:
    """Push the page of each host; yield the Pushgateway's port and its figures."""
    port = free_port()
    with running("prometheus-pushgateway", port, f"--web.listen-address=127.0.0.1:{port}") as gateway:
        times = []
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for number in range(hosts):
            began = time.monotonic()
            connection.request("PUT", f"/metrics/job/claude_code/instance/dev-{number:04}", text.encode())
            answer = connection.getresponse()
            answer.read()
            assert answer.status < 300, answer.status
            times.append(time.monotonic() - began)
        began = time.monotonic()
        size = len(urlopen(f"http://127.0.0.1:{port}/metrics", timeout=600).read())
        seconds = time.monotonic() - began
        push = statistics.median(times) * 1000
        yield (
            port,
            (
                f"Pushgateway: a push {push:.0f} ms, its page {size / 1e6:.0f} MB in {seconds:.1f} s, "
                f"memory {memory(gateway):,.0f} MB"
            ),
        )


@contextmanager
def shown(text: str) -> Iterator[int]:
    """Show the page at any path, as many hosts would; yield the port."""
    body = text.encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()


def configuration(port: int, hosts: int, *, through: str) -> dict[str, Any]:
    """Return Prometheus' configuration, as role prometheus writes it."""
    job: dict[str, Any] = {"job_name": "pushgateway", "honor_labels": True}
    job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    if through == "scrape":
        labels = [
            {"__metrics_path__": f"/{number}", "instance": f"dev-{number:04}"} for number in range(hosts)
        ]
        job = {"job_name": "claude_code"}
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"], "labels": each} for each in labels]
    return {
        "global": {"scrape_interval": f"{INTERVAL}s", "evaluation_interval": f"{INTERVAL}s"},
        "rule_files": [str(ROOT / "files/rules/*.yml")],
        "scrape_configs": [job],
    }


def value(port: int, query: str) -> float:
    """Return the first value of a query, or 0."""
    asked = urlencode({"query": query})
    with urlopen(f"http://127.0.0.1:{port}/api/v1/query?{asked}", timeout=60) as answer:
        result = json.load(answer)["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def collected(target: int, hosts: int, *, through: str, settle: int) -> str:
    """Have a Prometheus collect for a while; return its figures."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "prometheus.yml"
        own = {"job_name": "self", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        config = configuration(target, hosts, through=through)
        config["scrape_configs"].append(own)
        file.write_text(json.dumps(config))  # JSON is YAML
        with running(
            "prometheus",
            port,
            f"--config.file={file}",
            f"--storage.tsdb.path={directory}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ) as prometheus:
            time.sleep(settle)
            scrape = value(port, 'max(scrape_duration_seconds{job!="self"})')
            late = value(port, 'count(up{job!="self"} == 0)')
            head = value(port, "prometheus_tsdb_head_series")
            rules = value(port, "max(prometheus_rule_group_last_duration_seconds)")
            return (
                f"Prometheus: {head:,.0f} series, slowest scrape {scrape:.2f} s, failed scrapes {late:.0f}, "
                f"slowest group of rules {rules:.1f} s of 60, memory {memory(prometheus):,.0f} MB"
            )


def main() -> None:
    """Print a line for each number of hosts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hosts", nargs="*", type=int, default=[50, 200, 500, 2000])
    parser.add_argument("--through", choices=["push", "scrape"], default="push")
    parser.add_argument("--settle", type=int, default=SETTLE, help="seconds Prometheus collects; 0: none")
    asked = parser.parse_args()
    text = page()
    print(f"a host has {series(text)} series, {len(text) // 1024} kB", flush=True)
    for hosts in asked.hosts:
        if asked.through == "push":
            with pushed(hosts, text) as (port, figures):
                print(f"{hosts} hosts: {figures}", flush=True)
                if not asked.settle:
                    continue
                after = collected(port, hosts, through="push", settle=asked.settle)
        else:
            with shown(text) as port:
                after = collected(port, hosts, through="scrape", settle=asked.settle)
        print(f"{hosts} hosts: {after}", flush=True)


if __name__ == "__main__":
    main()
