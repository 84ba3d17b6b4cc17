"""Programs that delete what they are given: rm and kin."""

from __future__ import annotations

from utils.guard.marks import UNKNOWN, activate, is_known, plain
from utils.guard.paths import is_deep, normal
from utils.guard.verdict import RM_RF, Refused

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from collections.abc import Callable

    from utils.guard.evaluator import Evaluator

    Handler = Callable[[Evaluator, list[str], str], str]

_LONG = ("--recursive", "--force")


def rm_options(arguments: list[str]) -> tuple[bool, bool, list[str]]:
    """Return whether rm's `arguments` say recursive and force, and its targets."""
    recursive = forced = False
    targets: list[str] = []
    options = True
    for argument in arguments:
        if options and argument == "--":
            options = False
        elif options and argument.startswith("--") and len(argument) > 2:
            name = argument.partition("=")[0]
            recursive = recursive or _LONG[0].startswith(name)
            forced = forced or _LONG[1].startswith(name)
        elif options and argument[:1] == "-" and len(argument) > 1:
            recursive = recursive or "r" in argument or "R" in argument
            forced = forced or "f" in argument or "F" in argument
            if not is_known(argument):
                recursive = forced = True
        else:
            targets.append(argument)
    return recursive, forced, targets


def refuse_targets(ev: Evaluator, targets: list[str], act: str, *, any_depth: bool = False) -> None:
    """Refuse the deletion `act` unless the policy lets every one of its `targets` go."""
    if ev.policy.mode == "strict" and targets:
        raise Refused(RM_RF, f"{act}: this host's policy refuses every recursive forced deletion")
    ground = ev.ground()
    for target in dict.fromkeys(targets):
        for cwd in ev.state.cwd:
            if ev.remote:
                problem = _remote_objection(target)
            else:
                problem = ground.objection(target, cwd, any_depth=any_depth)
            if problem:
                raise Refused(RM_RF, f"{act}: {problem}")


def _remote_objection(target: str) -> str:
    path = normal(target) if target.startswith("/") else ""
    if path.startswith(("/tmp/", "/var/tmp/")) and is_known(path) and len(path) > 9:  # noqa: S108
        return ""
    return f"{plain(target)} lies on another machine or in a container, where nothing is known to be safe"


def _rm(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    recursive, forced, targets = rm_options(argv[1:])
    shown = plain(" ".join(argv))[:100]
    if recursive and forced:
        refuse_targets(ev, targets, shown)
    elif recursive:
        for target in targets:
            for cwd in ev.state.cwd:
                if _is_catastrophe(ev, target, cwd):
                    raise Refused(
                        RM_RF, f"{shown}: {plain(target)} is the project, its history, home or the system"
                    )
    deep = [target for target in targets if is_deep(target)]
    if deep:
        refuse_targets(ev, deep, shown, any_depth=True)
    for position, target in enumerate(argv[1:], 1):
        if _may_be_options(target) and any(a[:1] == "/" for a in argv[1:] if a is not argv[position]):
            raise Refused(RM_RF, f"{shown}: {plain(target)} may be -rf")
    return ""


def _may_be_options(argument: str) -> bool:
    return argument == UNKNOWN + "-"


def _is_catastrophe(ev: Evaluator, target: str, cwd: str) -> bool:
    if ev.remote or not is_known(target) or not is_known(cwd):
        return False
    problem = ev.ground().objection(target, cwd)
    return any(word in problem for word in ("itself", "root", "home", "git history", "whole project"))


def _unlink(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    deep = [target for target in argv[1:] if is_deep(target)]
    if deep:
        refuse_targets(ev, deep, f"{argv[0]} of everything below a directory", any_depth=True)
    return ""


def _shred(ev: Evaluator, argv: list[str], stdin: str) -> str:
    recursive, _, targets = rm_options(argv[1:])
    if recursive and argv[0].rpartition("/")[2] in ("srm", "wipe"):
        refuse_targets(ev, targets, plain(" ".join(argv))[:100])
    return _unlink(ev, argv, stdin)


def _rimraf(ev: Evaluator, argv: list[str], _stdin: str) -> str:
    targets = [activate(argument) for argument in argv[1:] if argument[:1] != "-"]
    refuse_targets(ev, targets, plain(" ".join(argv))[:100])
    return ""


def _shx(ev: Evaluator, argv: list[str], stdin: str) -> str:
    from utils.guard.commands import run_words

    return run_words(ev, argv[1:], stdin, argv[0]) if len(argv) > 1 else ""


def _busybox(ev: Evaluator, argv: list[str], stdin: str) -> str:
    from utils.guard.commands import run_words

    return run_words(ev, argv[1:], stdin, argv[0]) if len(argv) > 1 and argv[1][:1] != "-" else ""


DELETERS: dict[str, Handler] = {
    "rm": _rm,
    "grm": _rm,
    "srm": _shred,
    "wipe": _shred,
    "shred": _shred,
    "unlink": _unlink,
    "gunlink": _unlink,
    "rimraf": _rimraf,
    "del-cli": _rimraf,
    "shx": _shx,
    "busybox": _busybox,
    "toybox": _busybox,
}
