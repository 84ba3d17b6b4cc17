"""Without an exporter, one run of the sender brings the journal to the Pushgateway, or the next does."""

from __future__ import annotations

import base64
import os
import pwd
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from utils import journal
from utils.meter import oneshot
from utils.meter.ledger import Ledger, Options
from utils.settings import load

from tests.support.exporter import Exporter, wait_for
from tests.unit.meter_world import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from utils.settings import Settings

ME = pwd.getpwuid(os.geteuid()).pw_name
PROMPTS = f'claude_code_prompts_total{{team="platform",user="{ME}",project="proj"}}'


class Gateway:
    """A Pushgateway that remembers what was put."""

    def __init__(self) -> None:
        self.puts: list[tuple[str, dict[str, str], str]] = []
        self.status = 200
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                gateway.puts.append((self.path, dict(self.headers), body))
                self.send_response(gateway.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Be silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def value(self, series: str) -> float:
        """Return the value of `series` in the latest put."""
        (line,) = [line for line in self.puts[-1][2].splitlines() if line.startswith(f"{series} ")]
        return float(line.rpartition(" ")[2])


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    yield gateway
    gateway.server.shutdown()
    gateway.server.server_close()


@pytest.fixture
def settings(tmp_path: Path, gateway: Gateway) -> Settings:
    made = load([str(tmp_path / "sender.py")], {"XDG_STATE_HOME": str(tmp_path)})
    made.active = True
    made.labels = {"team": "platform"}
    made.instance = "laptop"
    made.pushgateway = {"url": gateway.url}
    return made


def work(settings: Settings, *events: str, **fields: Any) -> None:
    for event in events:
        hook_input = {"session_id": "s1", "cwd": "/home/dev/proj", **fields}
        journal.append(settings, event, hook_input)


def test_totals_are_put_to_the_group_of_the_host(settings: Settings, gateway: Gateway) -> None:
    work(settings, "SessionStart", "UserPromptSubmit", "UserPromptSubmit")
    assert oneshot.run(settings)
    path, headers, _ = gateway.puts[0]
    assert path == f"/metrics/job/claude_code/instance/laptop/user/{ME}"
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert gateway.value(PROMPTS) == 2
    assert gateway.value(f'claude_code_active_sessions{{team="platform",user="{ME}",project="proj"}}') == 1


def test_the_sender_says_what_an_exporter_says_of_the_same_journal(
    settings: Settings, tmp_path: Path
) -> None:
    work(settings, "SessionStart", "UserPromptSubmit")
    for use, event in enumerate(("PostToolUse", "PostToolUseFailure", "PostToolUse")):
        call = {"tool_name": "Bash", "tool_use_id": f"toolu_{use}", "duration_ms": 12}
        work(settings, "PreToolUse", **call)
        work(settings, event, **call)
    work(settings, "SessionEnd")
    (tmp_path / "exporter").mkdir()
    with Exporter(tmp_path / "exporter", labels=settings.labels) as exporter:
        for path in Path(settings.journal_dir).glob("*.jsonl"):
            shutil.copy(path, exporter.journals)
        wait_for(lambda: exporter.total("claude_code_session_duration_seconds_count"), "the session")
        said = set(exporter.get("/metrics")[2].splitlines())
    mine = set(oneshot.account(settings, patience=0).splitlines())
    assert len(mine) > 100
    assert mine - said == set()


def test_each_run_puts_the_totals_of_all_runs(settings: Settings, gateway: Gateway) -> None:
    for number in range(1, 4):
        work(settings, "UserPromptSubmit")
        assert oneshot.run(settings)
        assert gateway.value(PROMPTS) == number


@pytest.mark.parametrize("status", [500, 400, 301])
def test_what_the_gateway_refuses_is_put_by_the_next_run(
    settings: Settings, gateway: Gateway, status: int
) -> None:
    work(settings, "UserPromptSubmit")
    gateway.status = status
    assert not oneshot.run(settings)
    gateway.status = 202
    assert oneshot.run(settings)
    assert gateway.value(PROMPTS) == 1


def test_a_gateway_that_is_away_loses_nothing(settings: Settings, gateway: Gateway) -> None:
    work(settings, "UserPromptSubmit")
    settings.pushgateway = {"url": "http://127.0.0.1:9"}
    assert not oneshot.run(settings)
    work(settings, "UserPromptSubmit")
    settings.pushgateway = {"url": gateway.url}
    assert oneshot.run(settings)
    assert gateway.value(PROMPTS) == 2


@pytest.mark.parametrize("url", ["", "ftp://x", "nonsense", "http://", "http://127.0.0.1:99999"])
def test_an_address_that_is_none_changes_nothing_and_says_nothing(
    settings: Settings, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    work(settings, "UserPromptSubmit")
    settings.pushgateway = {"url": url}
    assert not oneshot.run(settings)
    assert capsys.readouterr() == ("", "")


def test_labels_that_cannot_be_are_silent_and_leave_the_journal(settings: Settings, gateway: Gateway) -> None:
    work(settings, "UserPromptSubmit")
    settings.labels = {"tool": "x"}
    assert not oneshot.run(settings)
    settings.labels = {"team": "platform"}
    assert oneshot.run(settings)
    assert gateway.value(PROMPTS) == 1


def test_another_sender_at_work_is_waited_for_and_then_left_to_it(
    settings: Settings, gateway: Gateway, tmp_path: Path
) -> None:
    work(settings, "UserPromptSubmit")
    path = tmp_path / "claude-code-observability/ledger.sqlite"
    other = Ledger.open(path, options=Options({"team": "platform"}), now=NOW)
    assert not oneshot.run(settings, patience=0)
    timer = threading.Timer(0.2, other.close)
    timer.start()
    assert oneshot.run(settings, patience=5)
    timer.join()
    assert gateway.value(PROMPTS) == 1


def test_no_sender_puts_older_totals_after_newer_ones(
    settings: Settings, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(settings, "UserPromptSubmit")
    put = oneshot._put
    second: list[bool] = []

    def slow_put(*arguments: Any) -> bool:
        monkeypatch.setattr(oneshot, "_put", put)
        work(settings, "UserPromptSubmit")
        second.append(oneshot.run(settings, patience=0))
        return put(*arguments)

    monkeypatch.setattr(oneshot, "_put", slow_put)
    assert oneshot.run(settings)
    assert second == [False]
    assert oneshot.run(settings)
    assert [body.count(f"{PROMPTS} {number}\n") for number, (_, _, body) in enumerate(gateway.puts, 1)] == [
        1,
        1,
    ]


def test_name_and_password_go_with_the_put(settings: Settings, gateway: Gateway, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("p4ss\n")
    settings.pushgateway = {"url": f"{gateway.url}/prefix/", "username": "dev", "password_file": str(secret)}
    settings.instance = "a/b"
    assert oneshot.run(settings)
    path, headers, _ = gateway.puts[0]
    assert base64.b64decode(headers["Authorization"].split()[1]) == b"dev:p4ss"
    encoded = base64.urlsafe_b64encode(b"a/b").decode()
    assert path == f"/prefix/metrics/job/claude_code/instance@base64/{encoded}/user/{ME}"


def test_a_large_journal_that_is_wholly_counted_is_removed_and_goes_on(
    settings: Settings, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(oneshot, "ROTATE_ABOVE", 100)
    for number in range(1, 4):
        work(settings, "UserPromptSubmit", "Stop")
        assert oneshot.run(settings)
        assert gateway.value(PROMPTS) == number
        assert not list((tmp_path / "claude-code-observability").glob("*.jsonl"))


def test_a_link_and_a_foreign_file_are_not_read(settings: Settings, gateway: Gateway, tmp_path: Path) -> None:
    work(settings, "UserPromptSubmit")
    state = tmp_path / "claude-code-observability"
    text = (state / f"{os.geteuid()}.jsonl").read_bytes().replace(b'"journal":"', b'"journal":"0')
    (tmp_path / "elsewhere").write_bytes(text)
    (state / f"{os.geteuid()}.link.jsonl").symlink_to(tmp_path / "elsewhere")
    (state / f"{os.geteuid()}9.jsonl").write_bytes(text)
    oneshot.run(settings)
    work(settings, "UserPromptSubmit")
    oneshot.run(settings)
    assert gateway.value(PROMPTS) == 2
