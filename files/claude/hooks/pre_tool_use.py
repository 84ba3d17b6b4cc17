#!/usr/bin/env python3
"""PreToolUse and UserPromptSubmit: the guard. Exit code 0 in silence, or 2 with two lines on stderr.

    pre_tool_use.py [--config FILE] < hook input
    pre_tool_use.py [--config FILE] --explain 'COMMAND'
    pre_tool_use.py --check-policy FILE
    pre_tool_use.py --deny-rules [--policy FILE]

It fails closed: whatever goes wrong, the tool does not run and the prompt is not sent.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from collections.abc import Mapping

    from utils.guard import Verdict
    from utils.guard.policy import Policy
    from utils.settings import Settings

LARGEST_INPUT = 4 << 20  # bytes
PROMPT = "UserPromptSubmit"


def guard(argv: list[str], environ: dict[str, str]) -> int:
    """Decide on the call or prompt on standard input; return the exit code."""
    from utils.quickjson import loads
    from utils.settings import load

    settings = load(argv, environ)
    hook_input: dict[str, object] = {}
    refusal = settings.error
    if not refusal:
        data = _read_input()
        if len(data) > LARGEST_INPUT:
            refusal = "the hook's input is too large"
        else:
            try:
                value = loads(data)
            except (ValueError, RecursionError):
                value = None
            if isinstance(value, dict):
                hook_input = value
            else:
                refusal = "the hook's input is not a JSON object"
    policy = None
    if not refusal:
        try:
            policy = _policy(settings.policy, environ, hook_input, shfmt=settings.shfmt)
        except (OSError, ValueError) as error:
            refusal = str(error)
    tool, cwd = str(hook_input.get("tool_name") or ""), str(hook_input.get("cwd") or "")
    if policy is None:
        from utils.guard.verdict import GUARD_ERROR, INSTEAD, OF_PROMPTS, Verdict

        instead = (OF_PROMPTS if _is_prompt(hook_input) else INSTEAD)[GUARD_ERROR]
        verdict = Verdict(GUARD_ERROR, f"the guard cannot decide: {refusal}"[:400], instead)
    elif _is_prompt(hook_input):
        from utils.guard.mentions import decide_prompt

        verdict = decide_prompt(hook_input.get("prompt"), cwd, policy)
    else:
        from utils.guard import decide

        verdict = decide(tool, hook_input.get("tool_input"), cwd, policy)
    return _close(settings, hook_input, verdict, mode=policy.mode if policy else "scoped")


def _close(settings: Settings, hook_input: dict[str, object], verdict: Verdict, *, mode: str) -> int:
    """Journal the decision, write the audit trail, speak to model or person; return the exit code."""
    from utils.journal import append

    audits = mode == "audit" and verdict.reason not in ("", "guard_error")
    fields = {} if not verdict.reason else {"a" if audits else "r": verdict.reason}
    try:  # noqa: SIM105 - contextlib costs more than the guard's own modules
        append(settings, PROMPT if _is_prompt(hook_input) else "PreToolUse", hook_input, **fields)
    except OSError:
        pass  # a full disk must not stop the work, nor let a block pass
    if not verdict.reason:
        return 0
    if settings.active:  # not in a trial, nor in a copy beside the installed guard, which keeps the trail
        try:
            from utils.guard import audit

            audit.record(
                settings.state_dir,
                verdict,
                tool="prompt" if _is_prompt(hook_input) else str(hook_input.get("tool_name") or ""),
                subject=_subject(hook_input),
                mode=mode,
                session=str(hook_input.get("session_id") or ""),
                call=str(hook_input.get("tool_use_id") or ""),
                cwd=str(hook_input.get("cwd") or ""),
            )
        except Exception:  # noqa: S110 - the block stands without its trail
            pass
    if audits:
        return 0
    sys.stderr.write(verdict.text())
    return 2


def _is_prompt(hook_input: Mapping[str, object]) -> bool:
    return hook_input.get("hook_event_name") == PROMPT


def _subject(hook_input: Mapping[str, object]) -> str:
    """Return what it was about: the call's command or path, the prompt's mentions; no content."""
    if _is_prompt(hook_input):
        from utils.guard.mentions import mentions

        return " ".join(f"@{path}" for path in mentions(str(hook_input.get("prompt") or "")))
    tool_input = hook_input.get("tool_input")
    if not isinstance(tool_input, dict):
        return ""
    for key in ("command", "file_path", "notebook_path", "path", "glob", "pattern"):
        if isinstance(tool_input.get(key), str):
            return str(tool_input[key])
    return ", ".join(str(key) for key in tool_input)


def _read_input() -> bytes:
    chunks = []
    size = 0
    while size <= LARGEST_INPUT:
        chunk = os.read(0, 1 << 20)
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def _policy(
    path: str, environ: Mapping[str, str], hook_input: Mapping[str, object], *, shfmt: str = ""
) -> Policy:
    """Return the policy for this call: the file's, at this place.

    shfmt: the parser that the configuration names, or empty.
    """
    from utils.guard.policy import Policy, load

    policy = load(path) if path else Policy()
    policy.home = environ.get("HOME", "")
    policy.tmpdir = environ.get("TMPDIR", "")
    policy.project = environ.get("CLAUDE_PROJECT_DIR") or str(hook_input.get("cwd") or "")
    policy.shfmt = _shfmt(shfmt)
    return policy


def _shfmt(configured: str) -> str:
    """Return the path of shfmt, or nothing; never one that PATH, which a project may set, leads to."""
    for path in (configured, "/usr/bin/shfmt", "/usr/local/bin/shfmt", "/opt/homebrew/bin/shfmt"):
        if path and os.access(path, os.X_OK):
            return path
    return ""


def main(argv: list[str]) -> int:
    """Run the guard, or one of its tools; return the exit code."""
    for option in ("--explain", "--check-policy", "--deny-rules"):
        if option in argv:
            from utils.guard.tool import run

            return run(argv, dict(os.environ), make_policy=_policy)
    return guard(argv, dict(os.environ))


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    sys.dont_write_bytecode = False
    sys.setrecursionlimit(20_000)
    try:
        code = main(sys.argv)
    except BaseException as error:
        try:
            sys.stderr.write(
                f"Blocked (guard_error): the guard failed ({type(error).__name__}).\nTell the user.\n"
            )
        finally:
            os._exit(2)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the kernel takes the memory back faster than the interpreter
