"""The exporter as a whole: a real process that is asked, filled, starved and killed."""

import json
import os
import resource
import signal
import socket
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from claude_code_exporter.reader import user_name
from meter import __version__
from meter.ledger import Ledger, Options
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from tests.support.exporter import UID, Exporter, cost, free_port, header, line, request, wait_for

PROMPTS = "claude_code_prompts_total"
USER = user_name(UID)
TICK = 1 / os.sysconf("SC_CLK_TCK")
TOOLS = ("Bash", "Read", "Edit", "Grep")
WORK = [
    ("UserPromptSubmit", ""),
    *((event, tool) for tool in TOOLS for event in ("PreToolUse", "PostToolUse")),
]


def journal(exporter: Exporter, *parts: bytes) -> None:
    with (exporter.journals / f"{UID}.jsonl").open("ab") as file:
        file.write(b"".join(parts))


def spent(exporter: Exporter) -> float:
    """Return the processor time that the exporter has taken, in seconds."""
    assert exporter.process is not None
    fields = Path(f"/proc/{exporter.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def memory(exporter: Exporter) -> float:
    """Return the memory that the exporter holds, in MB."""
    assert exporter.process is not None
    status = Path(f"/proc/{exporter.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def test_pages_are_served_as_text_and_as_openmetrics(tmp_path: Path) -> None:
    with Exporter(tmp_path, labels={"team": 'a "b"'}) as exporter:
        journal(exporter, header(), line("UserPromptSubmit"))
        wait_for(lambda: exporter.total(PROMPTS), "the prompt")
        assert exporter.values()[PROMPTS] == {(("project", "shop"), ("team", 'a "b"'), ("user", USER)): 1.0}
        status, headers, body = exporter.get("/metrics", Accept="application/openmetrics-text")
        assert status == 200
        assert headers["Content-Type"].startswith("application/openmetrics-text")
        families = {family.name: family for family in parse_openmetrics(body.decode())}  # type: ignore[no-untyped-call]
        assert families["claude_code_prompts"].samples[0].value == 1
        assert exporter.get("/-/healthy")[::2] == (200, b"ok\n")
        assert exporter.get("/-/ready")[::2] == (200, b"ok\n")
        assert exporter.get("/")[0] == 404
        assert request(exporter.port, "HEAD", "/metrics")[::2] == (200, b"")
        assert request(exporter.port, "POST", "/metrics", body=b"")[0] == 405


def test_a_second_exporter_on_one_ledger_refuses(tmp_path: Path) -> None:
    with Exporter(tmp_path) as first:
        second = Exporter(tmp_path)
        done = second.run()
        assert done.returncode == 1
        assert (
            f"another exporter has the ledger {first.ledger} open; stop it first, or give this one its own"
            in done.stderr
        )
        assert len(done.stderr.splitlines()) == 1
        assert first.ready()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    exporter = Exporter(tmp_path)
    with socket.create_server(("127.0.0.1", exporter.port)):
        done = exporter.run()
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{exporter.port}: " in done.stderr
    assert "Address already in use" in done.stderr


def test_a_configuration_is_checked_without_touching_anything(tmp_path: Path) -> None:
    exporter = Exporter(tmp_path)
    assert exporter.run("--check-config").returncode == 0
    assert list(exporter.ledger.parent.iterdir()) == []
    exporter.settings["transport"] = "smoke"
    done = exporter.run("--check-config")
    assert done.returncode == 2
    assert "transport must be one of pushgateway, scrape" in done.stderr


def test_a_canary_counts_apart(tmp_path: Path) -> None:
    with Exporter(tmp_path) as exporter:
        for count in (1, 2):
            assert exporter.run("--canary").returncode == 0
            wait_for(lambda: exporter.total("claude_code_canary_events_total") == count, "the canary")  # noqa: B023 # asked at once
        assert exporter.total("claude_code_hook_events_total") == 0


def test_canaries_fly_by_themselves_and_say_how_long_it_took(tmp_path: Path) -> None:
    with Exporter(tmp_path, canary_interval=1) as exporter:
        wait_for(lambda: exporter.total("claude_code_canary_events_total") >= 2, "a second canary")
        # The journals are read every second; a busy machine may take its time.
        assert 0 <= exporter.total("claude_code_canary_latency_seconds") < 15
        assert exporter.total("claude_code_hook_events_total") == 0


def test_a_ledger_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, ledger="/proc/ledger.sqlite")
    done = exporter.run()
    assert done.returncode == 1
    assert "/proc/ledger.sqlite" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_damaged_ledger_is_set_aside_and_said(tmp_path: Path) -> None:
    with Exporter(tmp_path) as exporter:
        assert exporter.stop() == 0
    exporter.ledger.write_bytes(b"no database at all, but long enough to look like one" * 40)
    with Exporter(tmp_path) as exporter:
        journal(exporter, header(), line("UserPromptSubmit"))
        wait_for(lambda: exporter.total(PROMPTS) == 1, "the prompt")
        assert str(exporter.ledger) in exporter.said()


def test_sigterm_reads_what_was_written_and_leaves_a_client_that_hangs_after_ten_seconds(
    tmp_path: Path,
) -> None:
    with Exporter(tmp_path) as exporter:
        assert exporter.post("/v1/metrics", cost(0.5))[0] == 200
        with socket.create_connection(("127.0.0.1", exporter.otlp_port)) as hanging:
            hanging.sendall(b"POST /v1/metrics HTTP/1.1\r\nContent-Length: 9\r\n")
            journal(exporter, header(), line("UserPromptSubmit") * 5)
            began = time.monotonic()
            assert exporter.stop() == 0
            assert time.monotonic() - began < 12
        assert exporter.said() == ""
    with Exporter(tmp_path) as again:
        assert again.total(PROMPTS) == 5


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """The files of the process may not grow: for SQLite that is a disk without space."""
    with Exporter(tmp_path) as exporter:
        assert exporter.process is not None
        pid = exporter.process.pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        journal(exporter, header(), line("UserPromptSubmit") * 300)
        wait_for(lambda: exporter.get("/-/ready")[0] == 503, "the full disk")
        body = cost(0.5)
        assert exporter.post("/v1/metrics", body)[0] == 503
        assert exporter.total(PROMPTS) == 0
        assert exporter.total("claude_code_exporter_journal_lag_seconds") > 0
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_for(lambda: exporter.get("/-/ready")[0] == 200, "space")
        assert exporter.post("/v1/metrics", body)[0] == 200
        assert exporter.total(PROMPTS) == 300
        assert exporter.total("claude_code_exporter_journal_lag_seconds") == 0
        size = sum(path.stat().st_size for path in exporter.ledger.parent.iterdir() if path.suffix != ".lock")
        assert 0 < exporter.total("claude_code_exporter_ledger_bytes") <= size
        assert exporter.total("claude_code_exporter_build_info", version=__version__) == 1
        assert exporter.total("claude_code_spend_usd_total") == 0.5
        said = exporter.said().splitlines()
        assert len(said) == 2
        assert "nothing is lost, the journals wait" in said[0]
        assert "the ledger can be written again" in said[1]


def test_at_rest_it_takes_little(tmp_path: Path) -> None:
    """Processor time at rest stays under 0.2 % of one, memory under 60 MB, as the kernel counts them."""
    with Exporter(tmp_path) as exporter:
        assert exporter.process is not None
        journal(exporter, header(), line("UserPromptSubmit"))
        wait_for(lambda: exporter.total(PROMPTS), "the prompt")
        before = spent(exporter)
        time.sleep(10)
        # A tick of the kernel's clock is 10 ms, 0.1 % of these ten seconds.
        assert round((spent(exporter) - before) / TICK) <= 2
        assert memory(exporter) < 60


def test_every_scrape_of_fifty_projects_of_ten_people_takes_milliseconds_the_first_one_too(
    tmp_path: Path,
) -> None:
    """In processor time, which a busy machine does not stretch; to render all takes several times that."""
    exporter = Exporter(tmp_path)
    ledger = Ledger.open(exporter.ledger, options=Options(), now=time.time())
    for number in range(500):
        work = [line(event, f"s{number}", p=f"project{number % 50}", k=tool, d=5) for event, tool in WORK]
        ledger.journal(
            owner=number, user=f"u{number // 50}", journal="j", offset=0, chunk=b"".join(work), now=0
        )
    ledger.close()
    with exporter:
        before = spent(exporter)
        body = exporter.get("/metrics")[2]
        first = spent(exporter) - before
        for _ in range(20):
            assert len(exporter.get("/metrics")[2]) == len(body)
        assert body.count(b"\nclaude_code_prompts_total{") == 500
        assert body.count(b"\n") > 60_000
        assert first <= 0.05 + TICK
        assert spent(exporter) - before <= 21 * 0.05


def test_ten_thousand_sessions_leave_the_series_that_a_hundred_left(tmp_path: Path) -> None:
    seen = []
    with Exporter(tmp_path, session_linger=0) as exporter:
        journal(exporter, header())
        for numbers in (range(100), range(100, 10_000)):
            for number in numbers:
                call = {"k": "Bash", "i": f"u{number}", "d": 1}
                events = ("SessionStart", "PostToolUse", "SessionEnd")
                journal(exporter, *(line(event, f"s{number}", **call) for event in events))
            ended = partial(exporter.total, "claude_code_session_duration_seconds_count")
            wait_for(lambda: ended() == numbers.stop, "the ends", seconds=60)  # noqa: B023 # asked at once
            samples = exporter.values()
            seen.append({(name, labels) for name in samples for labels in samples[name]})
        assert exporter.total("claude_code_tool_usage_total", outcome="success") == 10_000
    assert seen[0] == seen[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_either_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    with Exporter(tmp_path) as exporter:
        assert exporter.process is not None
        exporter.process.send_signal(number)
        assert exporter.process.wait(5) == 0


def test_what_it_has_taken_it_counts_before_it_ends(tmp_path: Path) -> None:
    body = json.dumps({"resourceMetrics": []}).encode()
    head = (
        b"POST /v1/metrics HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    with Exporter(tmp_path) as exporter, ExitStack() as stack:
        # More than the workers that one user has at once; all are slow, as clients on a busy machine are.
        senders = [
            stack.enter_context(socket.create_connection(("127.0.0.1", exporter.otlp_port)))
            for _ in range(20)
        ]
        for sender in senders:
            sender.sendall(head + body[:5])
        time.sleep(0.5)
        assert exporter.process is not None
        exporter.process.send_signal(signal.SIGTERM)
        time.sleep(2)
        for sender in senders:
            sender.sendall(body[5:])
        answers = [sender.recv(65536).partition(b"\r\n")[0] for sender in senders]
        assert answers == [b"HTTP/1.1 200 OK"] * 20
        assert exporter.process.wait(15) == 0


def test_the_selfcheck_sends_an_event_through_and_warns_of_a_gateway_that_is_away(tmp_path: Path) -> None:
    gateway = f"http://127.0.0.1:{free_port()}"
    settings = {"url": gateway, "interval": 60}
    with Exporter(tmp_path, transport="pushgateway", pushgateway=settings) as exporter:
        done = exporter.run("--selfcheck", "10")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"the Pushgateway {gateway} cannot be reached: ")
        assert exporter.total("claude_code_canary_events_total") == 1


def test_the_selfcheck_says_what_does_not_work(tmp_path: Path) -> None:
    exporter = Exporter(tmp_path)
    done = exporter.run("--selfcheck", "0")
    assert done.returncode == 1
    assert f"it is not ready: 127.0.0.1:{exporter.port} does not answer" in done.stderr
    with exporter:
        done = exporter.run("--selfcheck", "1", "--", "sh", "-c", "echo no disk >&2; exit 1")
        assert done.returncode == 1
        assert "the hooks cannot append a synthetic event: no disk" in done.stderr
        done = exporter.run("--selfcheck", "0.3", "--", "true")
        assert done.returncode == 1
        assert f"a synthetic event was written to {exporter.journals} and not counted" in done.stderr
