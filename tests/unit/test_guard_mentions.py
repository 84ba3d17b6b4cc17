"""Files mentioned in a prompt: Claude Code reads them by no tool, so the guard refuses the prompt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from utils.guard.mentions import decide_prompt, mentions
from utils.guard.policy import Policy, parse

from tests.unit.test_guard_hook import Desk

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

REFUSED = (
    "@.env",
    "what does @.env say?",
    "compare @.env, please",
    "(see) @.env)",
    "read\n@./config/.env.production",
    "read\t@../.env",
    "read @/srv/app/.env",
    "read @~/.env",
    "lines @.env#L1-20 matter",
    "lines @.env#top matter",
    "@src/a.py @.env",
    'read @"my project/.env"',
    'read @"my project/.env#L3"',
    "read @.ENV",
    "read @deep/.env.",
    "\u8aad\u3080\u3002@.env",
    "read\ufeff@.env",
    "/review @.env",
    "@server:file:///srv/.env",
)
PASSES = (
    "",
    "hello",
    "why is .env in .gitignore?",
    "write to me@.env.example.com or ops@.env",
    "npm install @types/node",
    "use @property and @dataclass(frozen=True)",
    "copy @.env.example",
    "copy @config/.env.sample, then go on",
    'copy @"my project/.env.template"',
    "see (@.env) in the text",
    "cat .env @ noon",
    "@",
    '@"',
    '@"" @# .env',
    "@environment.py @.envrc",
)


@pytest.mark.parametrize("prompt", REFUSED)
def test_a_prompt_that_mentions_a_protected_file_is_refused(prompt: str) -> None:
    verdict = decide_prompt(prompt, "/src", Policy())
    assert verdict.reason == "env_file"
    assert verdict.what.startswith("the prompt mentions @")
    assert len(verdict.text().splitlines()) == 2


@pytest.mark.parametrize("prompt", PASSES)
def test_a_prompt_that_mentions_none_passes(prompt: str) -> None:
    assert decide_prompt(prompt, "/src", Policy()).reason == ""


def test_mentions_are_the_paths_that_the_client_takes() -> None:
    assert mentions('@"a b.txt" see @src/x.py#L1-20, and me@host @src/x.py.') == [
        "a b.txt",
        "src/x.py#L1-20",
        "src/x.py",
    ]


def test_the_policy_says_which_files_are_protected() -> None:
    policy = parse({"protected_patterns": ["*.pem", "secrets/*"], "allowed_templates": [".dist"]})
    refused = ("@key.pem", "@app/secrets/token")
    assert [decide_prompt(prompt, "/src", policy).reason for prompt in refused] == ["env_file"] * 2
    assert decide_prompt("@.env @key.pem.dist", "/src", policy).reason == ""


def test_what_is_no_text_is_refused() -> None:
    for prompt in (None, ["@.env"], 7):
        assert decide_prompt(prompt, "/src", Policy()).reason == "guard_error"


@given(before=st.text(max_size=20), after=st.text(max_size=20))
def test_no_text_around_a_mention_hides_it_or_makes_the_guard_fail(before: str, after: str) -> None:
    prompt = f"{before} @.env {after}"
    assert decide_prompt(prompt, "/src", Policy()).reason == "env_file"
    assert decide_prompt(before + after, "/src", Policy()).reason in ("", "env_file")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def submit(desk: Desk, prompt: object, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    hook_input = {
        "session_id": "s1",
        "cwd": str(desk.project),
        "hook_event_name": "UserPromptSubmit",
        "prompt": prompt,
    }
    return desk.run(*arguments, stdin=json.dumps(hook_input).encode())


def test_a_refusal_is_exit_code_2_two_lines_one_record_and_no_word_of_the_prompt(desk: Desk) -> None:
    done = submit(desk, "my password is hunter2, as @.env says")
    assert (done.returncode, done.stdout) == (2, b"")
    first, second = done.stderr.decode().splitlines()
    assert first == "Blocked (env_file): the prompt mentions @.env, and Claude Code would read it"
    assert second.startswith("Instead: ")
    (line,) = desk.journal()
    assert (line["e"], line["r"], "k" in line) == ("UserPromptSubmit", "env_file", False)
    (block,) = desk.audit()
    assert (block["reason"], block["tool"], block["subject"]) == ("env_file", "prompt", "@.env")
    assert "hunter2" not in json.dumps([line, block])


def test_a_prompt_that_passes_is_silence_and_one_record(desk: Desk) -> None:
    done = submit(desk, "fill in @.env.example")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (line,) = desk.journal()
    assert (line["e"], "r" in line) == ("UserPromptSubmit", False)
    assert not (desk.state / "audit.jsonl").exists()


def test_a_mention_is_judged_where_its_links_lead(desk: Desk) -> None:
    (desk.project / "notes").symlink_to(".env")
    (desk.home / "keys").symlink_to("project/notes")
    for prompt in ("@notes", f"@{desk.project}/notes", "@~/keys", '@"notes"'):
        assert submit(desk, prompt).returncode == 2
    assert submit(desk, "@elsewhere").returncode == 0


def test_in_audit_mode_the_prompt_goes_through_and_is_counted(desk: Desk) -> None:
    done = submit(desk, "@.env", "--config", desk.policy(mode="audit"))
    assert (done.returncode, done.stderr) == (0, b"")
    (line,) = desk.journal()
    assert (line["a"], "r" in line) == ("env_file", False)
    assert [block["mode"] for block in desk.audit()] == ["audit"]


def test_a_guard_that_cannot_decide_lets_no_prompt_through(desk: Desk) -> None:
    assert submit(desk, None).returncode == 2
    done = submit(desk, "hello", "--config", desk.policy(mode="lenient"))
    assert done.returncode == 2
    assert done.stderr.startswith(b"Blocked (guard_error): the guard cannot decide: ")
    assert len(done.stderr.splitlines()) == 2
    assert [(line["e"], line["r"]) for line in desk.journal()] == [("UserPromptSubmit", "guard_error")] * 2
