"""Tools other than the shell: which strings of their input name files, and which hold commands."""

from __future__ import annotations

from utils.guard.envfiles import mentions_protected, names_protected
from utils.guard.marks import activate, clean, plain
from utils.guard.verdict import ENV_FILE, RM_RF, Refused

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from utils.guard.evaluator import Evaluator
    from utils.guard.policy import Policy

# The keys of a built-in tool's input that name files; all others are content.
FILE_KEYS = frozenset(("file_path", "path", "notebook_path", "filename", "file", "paths"))
FILE_TOOLS = frozenset(("Read", "Edit", "Write", "MultiEdit", "NotebookEdit", "NotebookRead", "LS"))
# Text for people or for another model, and tools that reach no file of this host.
TEXT_TOOLS = frozenset(
    [
        "Task",
        "Agent",
        "WebSearch",
        "WebFetch",
        "TodoWrite",
        "TodoRead",
        "ExitPlanMode",
        "EnterPlanMode",
        "AskUserQuestion",
        "Skill",
        "SlashCommand",
        "BashOutput",
        "KillBash",
        "KillShell",
        "TaskCreate",
        "TaskUpdate",
        "TaskGet",
        "TaskList",
        "TaskStop",
        "TaskOutput",
        "ToolSearch",
        "SendMessage",
        "StructuredOutput",
    ]
)
SHELL_TOOLS = frozenset(("Bash", "Monitor", "PowerShell"))
# Keys of an MCP tool's input whose strings are prose or content, in which naming a file is no access.
TEXT_KEYS = frozenset(
    [
        "content",
        "contents",
        "body",
        "text",
        "message",
        "title",
        "description",
        "prompt",
        "query",
        "new_string",
        "old_string",
        "new_str",
        "old_str",
        "newtext",
        "oldtext",
        "comment",
        "summary",
        "reason",
        "notes",
        "thought",
        "question",
        "answer",
        "html",
        "markdown",
        "pattern",
        "regex",
        "search",
        "edits",
        "diff",
        "patch",
        "value",
    ]
)
COMMAND_KEYS = frozenset(
    [
        "command",
        "cmd",
        "script",
        "shell",
        "code",
        "commands",
        "bash",
        "command_line",
        "commandline",
        "shell_command",
        "input",
    ]
)
MOST_STRINGS = 20_000


def judge(ev: Evaluator, tool: str, values: dict[str, object]) -> None:
    """Refuse the call of `tool` with the input `values` if it opens a protected file or runs a deletion."""
    if tool in TEXT_TOOLS:
        return
    if tool in FILE_TOOLS:
        for key, value in _strings(values, ""):
            if key in FILE_KEYS and names_protected(value, ev.policy):
                raise Refused(ENV_FILE, f"{tool} would open {plain(value)[:100]}")
        for key, value in _strings(values, ""):
            if key in FILE_KEYS and leads_to_protected(value, ev.state.cwd[0], ev.policy):
                raise Refused(
                    ENV_FILE, f"{tool} would open {plain(value)[:100]}, which leads to a protected file"
                )
    elif tool in ("Grep", "Glob"):
        for key, value in _strings(values, ""):
            is_pattern = key == "glob" or (tool == "Glob" and key == "pattern")
            if not is_pattern and key != "path":
                continue
            if is_pattern:
                refused = any(_glob_hits(ev, part) for part in _parts(value))
            else:
                refused = names_protected(value, ev.policy)
            if refused:
                raise Refused(ENV_FILE, f"{tool} would find or read {plain(value)[:100]}")
    else:
        _mcp(ev, tool, values)


def _mcp(ev: Evaluator, tool: str, values: dict[str, object]) -> None:
    """Judge any other tool: every string that is not prose may name a file, some are commands."""
    words: list[str] = []
    for key, value in _strings(values, ""):
        low = key.lower()
        if low in ("args", "argv", "arguments"):
            words.append(value)
        if low in COMMAND_KEYS and len(value) <= 100_000:
            ev.script(clean(value), what=f"{tool} {key}")
            if low == "code":
                from utils.guard.interpreters import judge as judge_code

                for language in ("python", "javascript"):
                    judge_code(ev, value, language)
            if low in ("command", "cmd"):
                words.insert(0, value)
        elif low in TEXT_KEYS:
            continue
        elif mentions_protected(activate(value) if "*" in value else value, ev.policy, dot_ok=True):
            raise Refused(ENV_FILE, f"{tool} would open {plain(value)[:100]} ({key})")
    if len(words) > 1 and " " not in words[0]:
        from utils.guard.commands import dispatch

        dispatch(ev, [clean(word) for word in words], "")


def _strings(value: object, key: str) -> list[tuple[str, str]]:
    """Return all strings within `value`, each with the nearest key above it; without recursion."""
    found: list[tuple[str, str]] = []
    pending: list[tuple[str, object]] = [(key, value)]
    while pending:
        name, item = pending.pop()
        if isinstance(item, str):
            found.append((name, item))
            if len(found) > MOST_STRINGS:
                raise Refused(RM_RF, "the tool's input holds too many strings to be read")
        elif isinstance(item, dict):
            pending += [(str(k), v) for k, v in reversed(item.items())]
        elif isinstance(item, list):
            pending += [(name, v) for v in reversed(item)]
    return found


def _parts(glob: str) -> list[str]:
    from utils.guard.words import braces

    return [part.strip() for variant in braces(glob) for part in variant.split(",") if part.strip()]


def _glob_hits(ev: Evaluator, glob: str) -> bool:
    if glob.startswith("!"):
        return False
    base = glob.rstrip("/").rpartition("/")[2]
    if not any(c.isalnum() for c in base) and "." not in base:
        return False  # * and ** name nothing
    return names_protected(activate(glob), ev.policy, dot_ok=base.startswith(("*.", "*e", "[", "?")))


def leads_to_protected(path: str, cwd: str, policy: Policy) -> bool:
    """Say whether `path`, seen from the directory `cwd`, leads through links to a protected file."""
    import os

    try:
        goal = os.path.realpath(path if path.startswith("/") else f"{cwd}/{path}")
    except (OSError, ValueError):
        return False
    return names_protected(goal, policy)
