"""What must hold for every command: disguises do not help, data does no harm, nothing breaks the guard."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from utils.guard import GUARD_ERROR, decide
from utils.guard.policy import Policy

from tests.support.tools import parser

SHFMT = parser()
REFUSED = [
    ("rm", "-rf", "/srv/data"),
    ("rm", "-r", "-f", "/"),
    ("/bin/rm", "--recursive", "--force", "/home/user"),
    ("rm", "-fR", ".."),
    ("find", "/srv/data", "-delete"),
    ("cat", ".env"),
    ("grep", "KEY", "config/.env.production"),
    ("cp", ".env", "/tmp/x"),
]
WRAPPERS = [
    "sudo {}",
    "env A=1 {}",
    "nohup {} &",
    "timeout 5 {}",
    "nice -n 5 {}",
    "command {}",
    "time {}",
    "xargs -I% {} < /dev/null",
    "if true; then {}; fi",
    "for i in 1; do {}; done",
    "while true; do {}; break; done",
    "f() {{ {}; }}; f",
    "( {} )",
    "{{ {}; }}",
    "true && {}",
    "false || {}",
    "echo $({})",
    "echo `{}`",
    "cat <({})",
    "trap {q} EXIT",
    "eval {q}",
    "bash -c {q}",
    "sh -ec {q}",
    "echo {q} | sh",
    "printf '%s\\n' {q} | bash",
    "bash <<< {q}",
    "bash <<'EOF'\n{}\nEOF\n",
    "x={q}; $x",
    "x={q}; bash -c \"$x\"",
    "env -S {q}",
    "find . -maxdepth 0 -exec {} \\;",
    "ls\n{}\nls",
    "ls; {}",
    "! {}",
    "coproc {}",
    "alias z={q}\nz",
]  # fmt: skip


def verdict(command: object, *, shfmt: str = SHFMT) -> str:
    policy = Policy()
    policy.home, policy.project, policy.shfmt = "/home/user", "/workspace/project", shfmt
    return decide("Bash", {"command": command}, "/workspace/project", policy).reason


@st.composite
def spelled(draw: st.DrawFn, word: str) -> str:
    """Return a word in one of the ways that a shell reads back as `word`."""
    out = []
    for char in word:
        way = draw(
            st.sampled_from(("plain", "plain", "single", "double", "escaped", "empty", "hex", "octal"))
        )
        code = ord(char)
        out.append(
            {
                "plain": char,
                "single": f"'{char}'",
                "double": f'"{char}"',
                "escaped": f"\\{char}",
                "empty": f"''{char}",
                "hex": f"$'\\x{code:02x}'",
                "octal": f"$'\\{code:03o}'",
            }[way]
        )
    return "".join(out)


@st.composite
def disguised(draw: st.DrawFn) -> str:
    """Return a refused command, each word spelt anew, with odd blanks between."""
    words = [draw(spelled(word)) for word in draw(st.sampled_from(REFUSED))]
    blank = st.sampled_from((" ", "  ", "\t", " \\\n ", " '' "[:1]))
    return "".join(word + draw(blank) for word in words).rstrip()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(disguised())
def test_no_spelling_of_a_refused_command_passes(command: str) -> None:
    assert verdict(command) in ("rm_rf", "env_file")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(REFUSED), st.lists(st.sampled_from(WRAPPERS), min_size=1, max_size=2))
def test_no_wrapping_of_a_refused_command_passes(words: tuple[str, ...], wrappers: list[str]) -> None:
    command = " ".join(words)
    for wrapper in wrappers:
        if not _holds(command, wrapper):
            continue
        command = wrapper.format(command, q=shlex.quote(command))
    assert verdict(command) in ("rm_rf", "env_file")


def _holds(command: str, wrapper: str) -> bool:
    """Say whether `wrapper` takes any command, or only a simple one."""
    simple = not any(c in command for c in ";&|\n(){}`<>$='\"!") and not command.startswith(
        ("if", "for", "while", "time", "coproc", "trap", "eval", "alias")
    )
    takes_any = "{q}" in wrapper and wrapper not in ("x={q}; $x", "env -S {q}")
    blocks = ("if true", "for i", "while", "( {}", "echo $(", "cat <(", "bash <<'EOF'", "ls\n")
    return (
        simple
        or takes_any
        or (wrapper.startswith(blocks) and "\n" not in command and not command.endswith("&"))
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(
        (
            "echo {}",
            "printf '%s\\n' {}",
            "git commit -m {}",
            "grep -rn {} src",
            "gh pr create --body {}",
            "x={}; echo done",
        )
    ),
    st.lists(
        st.sampled_from(
            ("rm -rf /", "cat .env", "the", "$(rm -rf ~)", "; rm -rf / ;", "'", "`cat .env`", "\n", "&&")
        ),
        min_size=2,
        max_size=6,
    ),
)
def test_text_that_is_only_data_passes(form: str, pieces: list[str]) -> None:
    assert verdict(form.format(shlex.quote(" ".join(pieces)))) == ""


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(("rm -rf /", "cat .env", "say", "x", "# y")), min_size=1, max_size=6))
def test_a_quoted_here_document_into_a_file_passes(lines: list[str]) -> None:
    body = "\n".join(lines)
    assert verdict(f"cat > notes.md <<'EOF_OF_NOTES'\n{body}\nEOF_OF_NOTES\n") == ""


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(max_size=60) | st.text("rm -f/.env$(){}`'\"|;&<>\\\n*?[]!#=~", max_size=60))
def test_no_text_makes_the_guard_fail(command: str) -> None:
    assert verdict(command) != GUARD_ERROR
    assert verdict(command, shfmt="") != GUARD_ERROR


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.sampled_from(
        ("Read", "Write", "Grep", "Glob", "NotebookEdit", "mcp__x__y", "PowerShell", "Other", "")
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=12),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=12,
    ).filter(lambda value: isinstance(value, dict)),
)
def test_no_input_of_a_tool_makes_the_guard_fail(tool: str, tool_input: object) -> None:
    assert decide(tool, tool_input, "/workspace/project", Policy()).reason != GUARD_ERROR


@pytest.mark.parametrize("depth", [1, 20, 200])
def test_nesting_does_not_hide_a_deletion(depth: int) -> None:
    assert verdict("echo " + "$(echo " * depth + "$(rm -rf /)" + ")" * depth) == "rm_rf"
    assert verdict("{ " * depth + "rm -rf /; " + "}; " * (depth - 1) + "}") == "rm_rf"
    assert verdict("if true; then " * depth + "rm -rf /; " + "fi; " * depth) == "rm_rf"
    assert verdict("sudo " * depth + "rm -rf /") == "rm_rf"


@pytest.mark.parametrize(
    "command",
    [
        "echo " + "word " * 10_000,
        "echo '" + "x y " * 25_000 + "'",
        "ls a;" * 20_000,
        "a=xx;" + "a=$a$a;" * 60 + "echo $a",
        "echo " + "{a,b}" * 40,
        "for a in 1 2 3 4 5 6 7 8 9; do " * 6 + "echo $a;" + "done;" * 6,
        'python3 -c "' + "print(1);" * 11_000 + '"',
        "eval " * 5_000 + "ls",
    ],
)
def test_length_alone_is_no_reason(command: str) -> None:
    assert verdict(command) == ""


@pytest.mark.parametrize("filler", ["word " * 10_000, "'x y' " * 10_000, "$(true) " * 10_000, "\n" * 50_000])
def test_length_hides_nothing(filler: str) -> None:
    assert verdict(f"echo {filler}; rm -rf /") == "rm_rf"
    assert verdict(f"echo {filler}; cat .env") == "env_file"
