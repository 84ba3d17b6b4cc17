"""The guard's pure core: one question, one `Verdict`."""

from __future__ import annotations

from utils.guard.verdict import ENV_FILE, GUARD_ERROR, INSTEAD, OWN_RULE, RM_RF, Refused, Verdict, line

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from utils.guard.policy import Policy

__all__ = ["ENV_FILE", "GUARD_ERROR", "OWN_RULE", "RM_RF", "Verdict", "decide"]

LONGEST = 1 << 20  # characters of one command


def decide(tool: str, tool_input: object, cwd: str, policy: Policy) -> Verdict:
    """Return the verdict on the call of `tool` with `tool_input` in the directory `cwd`.

    Never raises for any input of JSON's types; what fails inside is a refusal with the reason
    ``guard_error``.
    """
    from utils.guard.evaluator import Evaluator
    from utils.guard.syntax import TooLargeError

    ev = Evaluator(policy, cwd or "/")
    try:
        try:
            _judge(ev, tool, tool_input)
        except TooLargeError:
            from utils.guard.rules import refuse_by_text

            refuse_by_text(ev.command, ev)
    except Refused as refused:
        return Verdict(refused.reason, line(refused.what), INSTEAD[refused.reason], refused.trail)
    except Exception as error:
        what = f"the guard failed ({type(error).__name__}: {error})"
        return Verdict(GUARD_ERROR, line(what), INSTEAD[GUARD_ERROR], tuple(ev.trail))
    return Verdict()


def _judge(ev: Evaluator, tool: str, tool_input: object) -> None:
    from utils.guard.tools import SHELL_TOOLS, judge

    if not isinstance(tool_input, dict):
        raise Refused(GUARD_ERROR, f"the input of {tool[:64]} is not an object")
    if tool == "PowerShell":
        from utils.guard.powershell import refuse

        refuse(str(tool_input.get("command", "")), ev)
    elif tool in SHELL_TOOLS:
        _shell(ev, tool_input.get("command", ""), ev.policy)
    else:
        judge(ev, tool, tool_input)


def _shell(ev: Evaluator, command: object, policy: Policy) -> None:
    from utils.guard.marks import clean

    if isinstance(command, list):
        from utils.guard.commands import dispatch

        words = [clean(str(word)) for word in command]
        if words:
            dispatch(ev, words, "")
        return
    if not isinstance(command, str):
        raise Refused(GUARD_ERROR, "the command is not a text")
    if len(command) > LONGEST:
        raise Refused(GUARD_ERROR, f"the command is longer than {LONGEST} characters")
    if policy.rules:
        from utils.guard.policy import broken_rule

        rule = broken_rule(policy, command)
        if rule is not None:
            raise Refused(OWN_RULE, f"{rule.message} (rule {rule.name})")
    ev.script(clean(command))
    ev.finish()


if TYPE_CHECKING:
    from utils.guard.evaluator import Evaluator
