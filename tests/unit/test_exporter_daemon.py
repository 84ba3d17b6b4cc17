"""The exporter as a whole: a real process that is asked, filled, starved and killed."""

import resource
import signal
import socket
import time
from pathlib import Path

import pytest
from claude_code_exporter.reader import user_name
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from tests.support.exporter import UID, Exporter, cost, free_port, header, line, request, wait_for

PROMPTS = "claude_code_prompts_total"
USER = user_name(UID)


def journal(exporter: Exporter, *parts: bytes) -> None:
    with (exporter.journals / f"{UID}.jsonl").open("ab") as file:
        file.write(b"".join(parts))


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


def test_sigterm_reads_what_was_written_and_leaves_within_five_seconds(tmp_path: Path) -> None:
    with Exporter(tmp_path) as exporter:
        assert exporter.post("/v1/metrics", cost(0.5))[0] == 200
        with socket.create_connection(("127.0.0.1", exporter.otlp_port)) as hanging:
            hanging.sendall(b"POST /v1/metrics HTTP/1.1\r\nContent-Length: 9\r\n")
            journal(exporter, header(), line("UserPromptSubmit") * 5)
            began = time.monotonic()
            assert exporter.stop() == 0
            assert time.monotonic() - began < 5
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
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_for(lambda: exporter.get("/-/ready")[0] == 200, "space")
        assert exporter.post("/v1/metrics", body)[0] == 200
        assert exporter.total(PROMPTS) == 300
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
        proc = Path(f"/proc/{exporter.process.pid}")

        def spent() -> int:
            fields = (proc / "stat").read_text().rpartition(")")[2].split()
            return int(fields[11]) + int(fields[12])

        before = spent()
        time.sleep(3)
        # One tick of the kernel's clock is 10 ms, 0.33 % of these three seconds.
        assert spent() - before <= 1
        resident = next(row for row in (proc / "status").read_text().splitlines() if row.startswith("VmRSS"))
        assert int(resident.split()[1]) < 60 * 1024


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_either_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    with Exporter(tmp_path) as exporter:
        assert exporter.process is not None
        exporter.process.send_signal(number)
        assert exporter.process.wait(5) == 0


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
