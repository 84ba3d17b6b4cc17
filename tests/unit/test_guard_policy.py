"""What a policy may say, what it then protects, and the guard without its parser."""

from __future__ import annotations

import pytest
from utils.guard import decide
from utils.guard.policy import InvalidPolicyError, Policy, parse

from tests.support.tools import parser

SHFMT = parser()
RULE = {"name": "n", "pattern": "x", "message": "m", "must_match": ["x"], "must_not_match": ["y"]}


def reason(command: str, policy: Policy | None = None, *, shfmt: str = SHFMT, tool: str = "Bash") -> str:
    policy = policy or Policy()
    policy.home, policy.project, policy.shfmt = "/home/user", "/workspace/project", shfmt
    return decide(tool, {"command": command}, "/workspace/project", policy).reason


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([], "must be one JSON object"),
        ({"mode": "soft"}, "mode must be one of scoped, strict, audit, not 'soft'"),
        ({"protected_patterns": ".env"}, "protected_patterns must be a list of non-empty strings"),
        ({"protected_patterns": []}, "must name at least one pattern"),
        ({"protected_patterns": ["*"]}, "'*' would protect every file"),
        ({"extra_allowed_roots": ["/"]}, "must be absolute and at least two levels deep"),
        ({"extra_allowed_roots": ["work/x"]}, "must be absolute and at least two levels deep"),
        ({"git_clean": "yes"}, "git_clean must be true or false"),
        ({"surplus": 1}, "unknown key 'surplus'"),
        ({"own_rules": [{**RULE, "extra": 1}]}, "unknown key 'extra'"),
        ({"own_rules": [{**RULE, "pattern": "("}]}, "is not a regular expression"),
        ({"own_rules": [{**RULE, "must_match": ["z"]}]}, "does not match the example 'z' of must_match"),
        ({"own_rules": [{**RULE, "must_not_match": ["xx"]}]}, "matches the example 'xx' of must_not_match"),
        ({"own_rules": [{**RULE, "must_not_match": []}]}, "must_not_match needs at least one example"),
    ],
)
def test_a_policy_that_would_not_do_what_it_says_is_refused(values: object, problem: str) -> None:
    with pytest.raises(InvalidPolicyError) as found:
        parse(values)
    assert problem in str(found.value)


def test_the_protected_files_are_a_variable() -> None:
    policy = parse({"protected_patterns": ["*.pem", "id_rsa", "secrets/*.yml"]})
    assert [reason(c, policy) for c in ("cat a.pem", "cat ~/.ssh/id_rsa", "cat app/secrets/db.yml")] == [
        "env_file"
    ] * 3
    assert [reason(c, policy) for c in ("cat .env", "cat id_rsa.pub", "cat secrets.yml")] == [""] * 3


def test_templates_are_a_variable() -> None:
    policy = parse({"allowed_templates": [".tpl"]})
    assert reason("cat .env.tpl", policy) == ""
    assert reason("cat .env.example", policy) == "env_file"


def test_git_clean_is_an_option() -> None:
    assert reason("git clean -fdx") == ""
    assert reason("git clean -fdx", parse({"git_clean": True})) == "rm_rf"
    assert reason("git clean -n", parse({"git_clean": True})) == ""


@pytest.mark.parametrize(
    "command",
    [
        "rm -rf /",
        "r''m -r\"f\" /srv",
        "$'\\x72m' -rf /",
        "X=rm; $X -rf /",
        "rm${IFS}-rf${IFS}/",
        "bash -c 'rm -rf /'",
        "echo cm0gLXJmIC8= | base64 -d | sh",
        "find / -delete",
        "xargs rm -rf < list",
        "cat .env",
        "cat .e*",
        "source ./.env",
        "cat < .env",
        "a=.env; cat $a",
    ],
)
def test_without_shfmt_stricter_rules_on_text_decide(command: str) -> None:
    assert reason(command + "; $(true)", shfmt="") != ""


@pytest.mark.parametrize(
    "command",
    ["ls -la .env $(true)", "git status `true`", "npm test $(cat x)", "for f in *.py; do wc $f; done"],
)
def test_without_shfmt_everyday_work_goes_on(command: str) -> None:
    assert reason(command, shfmt="") == ""


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("Remove-Item C:\\data -Recurse -Force", "rm_rf"),
        ("Get-ChildItem C:\\ | Remove-Item -Recurse", "rm_rf"),
        ("rm -r -fo C:\\", "rm_rf"),
        ("Get-Content .env", "env_file"),
        ("type config\\.env.local", "env_file"),
        ("Get-ChildItem", ""),
        ("Test-Path .env", ""),
        ("Get-Content .env.example", ""),
    ],
)
def test_powershell_is_judged_by_its_text(command: str, expected: str) -> None:
    assert reason(command, tool="PowerShell") == expected


@pytest.mark.parametrize(
    ("tool", "tool_input", "expected"),
    [
        ("Read", {"file_path": "/workspace/project/.env"}, "env_file"),
        ("Read", {"file_path": "/workspace/project/.env.example"}, ""),
        ("Write", {"file_path": "notes.md", "content": "cat .env; rm -rf /"}, ""),
        ("MultiEdit", {"file_path": ".env.local", "edits": []}, "env_file"),
        ("NotebookEdit", {"notebook_path": ".env", "new_source": ""}, "env_file"),
        ("Grep", {"pattern": ".env", "path": "src"}, ""),
        ("Grep", {"pattern": "KEY", "path": ".env"}, "env_file"),
        ("Grep", {"pattern": "KEY", "glob": "**/.env*"}, "env_file"),
        ("Grep", {"pattern": "KEY", "glob": "*.{ts,env}"}, "env_file"),
        ("Glob", {"pattern": "**/.env*"}, "env_file"),
        ("Glob", {"pattern": "**/*.ts"}, ""),
        ("Glob", {"pattern": "**/*"}, ""),
        ("mcp__fs__read_multiple_files", {"paths": ["a.txt", "b/.env"]}, "env_file"),
        ("mcp__fs__move_file", {"source": ".env", "destination": "x"}, "env_file"),
        ("mcp__serena__read_file", {"relative_path": "app/.env"}, "env_file"),
        ("mcp__x__y", {"options": {"deep": [{"file": "file:///app/.env"}]}}, "env_file"),
        ("mcp__shell__run", {"command": "rm", "args": ["-rf", "/srv"]}, "rm_rf"),
        ("mcp__shell__run", {"command": "rm -rf /srv"}, "rm_rf"),
        ("mcp__github__create_issue", {"title": "x", "body": "see .env and rm -rf /"}, ""),
        ("WebFetch", {"url": "https://example.com/.env", "prompt": "read it"}, ""),
        ("Agent", {"prompt": "check that cat .env is blocked", "description": ".env"}, ""),
    ],
)
def test_the_other_tools_are_judged_by_what_they_would_open(
    tool: str, tool_input: object, expected: str
) -> None:
    policy = Policy()
    policy.home, policy.project, policy.shfmt = "/home/user", "/workspace/project", SHFMT
    assert decide(tool, tool_input, "/workspace/project", policy).reason == expected
