"""The guard's command line for people and roles: explain a verdict, check a policy, print the deny rules."""

from __future__ import annotations

import os
import sys

from utils.guard import decide
from utils.guard.policy import Policy, deny_rules, load

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def run(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    make_policy: Callable[..., Policy],
) -> int:
    """Run the tool that `argv` names; return the exit code.

    make_policy: returns the policy of a file (or the built-in one) for a call.
    """
    try:
        if "--check-policy" in argv:
            load(_value(argv, "--check-policy"))
            return 0
        if "--deny-rules" in argv:
            return _deny_rules(argv)
        return _explain(argv, environ, make_policy)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _value(argv: Sequence[str], option: str) -> str:
    place = list(argv).index(option) + 1
    if place >= len(argv):
        message = f"{option} needs a value"
        raise ValueError(message)
    return argv[place]


def _deny_rules(argv: Sequence[str]) -> int:
    import json

    policy = load(_value(argv, "--policy")) if "--policy" in argv else Policy()
    sys.stdout.write(json.dumps(deny_rules(policy)) + "\n")
    return 0


def _explain(
    argv: Sequence[str],
    environ: Mapping[str, str],
    make_policy: Callable[..., Policy],
) -> int:
    """Print the verdict on a command and the way to it; exit code 0 when it may run, 2 when not."""
    from utils.settings import load as settings_of

    command = _value(argv, "--explain")
    settings = settings_of(argv, environ)
    if settings.error:
        raise ValueError(settings.error)
    path = _value(argv, "--policy") if "--policy" in argv else settings.policy
    policy = make_policy(path, environ, {"cwd": os.getcwd()}, shfmt=settings.shfmt)
    verdict = decide("Bash", {"command": command}, os.getcwd(), policy)
    lines = [f"command: {command}"]
    lines += [f"{'  ' * depth}in {step}" for depth, step in enumerate(verdict.trail, 1)]
    parser = policy.shfmt or "none: shfmt is missing, text rules decide"
    lines.append(f"policy: {path or 'built in'}, mode {policy.mode}; parser: {parser}")
    if verdict.reason:
        lines.append(f"verdict: {'counted only' if policy.mode == 'audit' else 'blocked'} ({verdict.reason})")
        lines.append(f"because: {verdict.what}")
    else:
        lines.append("verdict: allowed")
    sys.stdout.write("\n".join(lines) + "\n")
    return 2 if verdict.reason and policy.mode != "audit" else 0
