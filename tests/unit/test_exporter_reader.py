"""Which files of the journals' directory are believed, and that each line in them is counted once."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from claude_code_exporter import reader
from claude_code_exporter.reader import CHUNK, ROTATE_ABOVE, SHARE, Journals
from meter.ledger import Ledger, Options
from utils.journal import append
from utils.settings import load

from tests.support.exporter import UID, header, line, wait_for

OTHER_UID = UID + 1
NOW = 1_800_000_000.0


class Host:
    """A directory of journals, a ledger, and the reader between them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "journal"
        self.directory.mkdir()
        self.ledger = Ledger.open(directory / "ledger.sqlite", options=Options(), now=NOW)
        self.journals = Journals(self.directory, self.ledger)
        self.served = 0

    def write(self, name: str, *parts: bytes) -> Path:
        path = self.directory / name
        with path.open("ab") as file:
            file.write(b"".join(parts))
        return path

    def read(self) -> bool:
        return self.journals.read(now=NOW, between=self.serve)

    def serve(self) -> None:
        self.served += 1

    def sum(self, name: str) -> float:
        families = self.ledger.families(now=NOW)
        return sum(sample.value for family in families if family.name == name for sample in family.samples)

    def prompts(self) -> float:
        return self.sum("claude_code_prompts_total")

    def rejected(self) -> dict[str, float]:
        families = self.ledger.families(now=NOW)
        return {
            sample.labels["reason"]: sample.value
            for family in families
            if family.name == "claude_code_exporter_rejected_total"
            for sample in family.samples
            if sample.value
        }


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.journals.close()
    made.ledger.close()


PROMPT = line("UserPromptSubmit")


def test_lines_are_counted_once_however_often_the_journal_is_read(host: Host) -> None:
    host.write(f"{UID}.jsonl", header(), PROMPT, PROMPT)
    assert [host.read(), host.read(), host.prompts()] == [False, False, 2]
    host.write(f"{UID}.jsonl", PROMPT)
    host.read()
    assert host.prompts() == 3


def test_a_user_may_have_several_journals(host: Host) -> None:
    host.write(f"{UID}.jsonl", header("a" * 32), PROMPT)
    host.write(f"{UID}.0badcafe.jsonl", header("b" * 32), PROMPT, PROMPT)
    host.read()
    assert host.prompts() == 3


def test_a_copy_of_a_journal_counts_nothing(host: Host) -> None:
    original = host.write(f"{UID}.jsonl", header(), PROMPT, PROMPT)
    host.write(f"{UID}.copy.jsonl", original.read_bytes())
    host.read()
    assert host.prompts() == 2


def test_a_line_that_is_still_being_written_waits_for_its_end(host: Host) -> None:
    host.write(f"{UID}.jsonl", header(), PROMPT, PROMPT[:20])
    host.read()
    assert host.prompts() == 1
    host.write(f"{UID}.jsonl", PROMPT[20:])
    host.read()
    assert [host.prompts(), host.rejected()] == [2, {}]


def test_a_line_cut_in_half_by_a_crash_is_refused_and_the_next_one_counted(host: Host) -> None:
    host.write(f"{UID}.jsonl", header(), PROMPT[:20], b"\n", PROMPT)
    host.read()
    assert host.prompts() == 1
    assert sum(host.rejected().values()) == 1


def test_a_header_that_is_still_being_written_is_waited_for(host: Host) -> None:
    host.write(f"{UID}.jsonl", header()[:10])
    host.read()
    host.write(f"{UID}.jsonl", header()[10:], PROMPT)
    host.read()
    assert [host.prompts(), host.rejected()] == [1, {}]


def test_a_file_without_the_header_is_refused_once(host: Host) -> None:
    host.write(f"{UID}.jsonl", PROMPT, PROMPT)
    host.read()
    host.read()
    assert [host.prompts(), host.rejected()] == [0, {"journal_header": 1}]


def test_a_journal_under_the_name_of_somebody_else_is_refused_and_makes_room(host: Host) -> None:
    squatter = host.write(f"{OTHER_UID}.jsonl", header(), PROMPT)
    host.read()
    assert [host.prompts(), host.rejected()] == [0, {"journal_owner": 1}]
    assert not squatter.exists()


def test_a_crowd_of_squatters_is_counted_removed_and_said_once(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(200):
        host.write(f"{OTHER_UID + number}.jsonl", header(), PROMPT)
    host.read()
    host.read()
    assert host.rejected() == {"journal_owner": 200}
    assert list(host.directory.iterdir()) == []
    assert [record.getMessage() for record in caplog.records] == [
        (
            f"the journal {OTHER_UID}.jsonl is not read: "
            "it belongs to somebody else than its name says; it was removed"
        )
    ]


def test_a_name_that_looks_like_a_line_of_the_log_is_no_line_of_it(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.write(f"{UID}.x\nall is well.jsonl", PROMPT)
    host.read()
    assert [record.getMessage() for record in caplog.records] == [
        f"the journal {UID}.x\\nall is well.jsonl is not read: its first line does not name a journal"
    ]


def test_a_link_is_neither_followed_nor_its_target_harmed(host: Host, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(header() + PROMPT)
    (host.directory / f"{UID}.jsonl").symlink_to(target)
    (host.directory / f"{OTHER_UID}.jsonl").symlink_to(target)
    host.read()
    assert [host.prompts(), host.rejected()] == [0, {"journal_kind": 1, "journal_owner": 1}]
    assert target.read_bytes() == header() + PROMPT


def test_a_file_with_two_names_is_refused(host: Host, tmp_path: Path) -> None:
    path = host.write(f"{UID}.jsonl", header(), PROMPT)
    (tmp_path / "second").hardlink_to(path)
    host.read()
    assert [host.prompts(), host.rejected()] == [0, {"journal_links": 1}]


def test_a_pipe_does_not_hold_the_reader_up(host: Host) -> None:
    os.mkfifo(host.directory / f"{UID}.jsonl")
    (host.directory / f"{UID}.a.jsonl").mkdir()
    host.read()
    assert host.rejected() == {"journal_kind": 2}


@pytest.mark.parametrize("name", ["notes.txt", "007.jsonl", "x1.jsonl", f"{UID}.jsonl.bak", "-1.jsonl"])
def test_other_files_are_left_alone(host: Host, name: str) -> None:
    path = host.write(name, header(), PROMPT)
    host.read()
    assert [host.prompts(), host.rejected(), path.exists()] == [0, {}, True]


def test_who_writes_much_gets_a_share_and_lets_others_in_between(host: Host) -> None:
    lines = -(-2 * SHARE // len(PROMPT))
    host.write(f"{UID}.jsonl", header(), PROMPT * lines)
    assert host.read() is True
    assert 0 < host.prompts() * len(PROMPT) <= SHARE + CHUNK
    assert host.served >= SHARE // CHUNK
    assert host.journals.lag(NOW + 3) == 3
    while host.read():
        pass
    assert [host.prompts(), host.journals.lag(NOW + 3)] == [lines, 0]


def test_a_line_without_end_is_refused_and_what_follows_is_counted(host: Host) -> None:
    host.write(f"{UID}.jsonl", header(), PROMPT, b"x" * (3 * CHUNK), b"\n", PROMPT)
    while host.read():
        pass
    assert [host.prompts(), host.rejected()] == [2, {"line_too_long": 1}]


def large(host: Host) -> tuple[Path, int]:
    """Write a journal that is due for rotation, quickly: its lines are as long as they may be."""
    long = line("UserPromptSubmit", pad="x" * 3900)
    count = ROTATE_ABOVE // len(long) + 1
    return host.write(f"{UID}.jsonl", header(), long * count), count


def test_a_large_journal_is_removed_when_all_of_it_is_counted(host: Host) -> None:
    path, count = large(host)
    while host.read():
        pass
    assert [path.exists(), host.prompts()] == [False, count]
    host.write(path.name, header("b" * 32), PROMPT)
    host.read()
    assert host.prompts() == count + 1


def test_a_large_journal_stays_while_a_writer_holds_it(host: Host) -> None:
    path, count = large(host)
    with path.open("ab") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        while host.read():
            pass
        assert path.exists()
        writer.write(PROMPT)
    while host.read():
        pass
    assert [path.exists(), host.prompts()] == [False, count + 1]


def test_journals_rotate_under_their_writers_without_loss(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "ROTATE_ABOVE", 1000)
    config = tmp_path / "hooks.json"
    config.write_text(json.dumps({"journal_dir": str(host.directory)}))
    settings = load(["hook", "--config", str(config)], {})

    rotated, written = Event(), []

    def write() -> None:
        while not rotated.is_set():
            append(settings, "UserPromptSubmit", {"session_id": "s1", "cwd": "/src/shop"})
            written.append(1)

    writers = [Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    names: set[bytes] = set()

    def five_times() -> bool:
        names.update(path.read_bytes().partition(b"\n")[0] for path in host.directory.iterdir())
        host.read()
        return len(names - {b""}) > 5

    try:
        wait_for(five_times, "rotation")
    finally:
        rotated.set()
    for writer in writers:
        writer.join()
    host.read()
    assert host.prompts() == len(written)


def test_a_journal_that_was_shortened_is_not_counted_again(host: Host) -> None:
    path = host.write(f"{UID}.jsonl", header(), PROMPT, PROMPT)
    host.read()
    os.truncate(path, len(header()) + len(PROMPT))
    host.read()
    assert host.prompts() == 2


def test_nobody_can_keep_the_reader_busy_with_a_thousand_files(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MOST_FILES", 5)
    for number in range(20):
        host.write(f"{UID}.{number:02}.jsonl", header(f"{number:032x}"), PROMPT)
    host.write(f"{UID}.jsonl", header("f" * 32), PROMPT)
    host.read()
    assert host.prompts() == 5


def test_a_look_at_journals_without_news_costs_microseconds(host: Host) -> None:
    for number in range(20):
        host.write(f"{UID}.{number:02}.jsonl", header(f"{number:032x}"), PROMPT)
    host.read()
    before = time.process_time()
    for _ in range(100):
        host.read()
    # A pass a second: 2 ms each would be the 0.2 % of a processor that the exporter may use at rest.
    assert (time.process_time() - before) / 100 < 0.001
