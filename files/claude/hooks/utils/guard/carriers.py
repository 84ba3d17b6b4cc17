"""Programs that carry a command to somewhere else: git, ssh, containers, make, terminals, schedulers."""

from __future__ import annotations

from utils.guard.access import opens
from utils.guard.argv import options_end
from utils.guard.commands import dispatch, run_shell, run_words
from utils.guard.deletion import refuse_targets
from utils.guard.marks import DEEP, UNKNOWN, plain
from utils.guard.verdict import Refused

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from utils.guard.evaluator import Evaluator

_GIT_RUNS = (
    "command",
    "alias.",
    "editor",
    "pager",
    "askpass",
    "helper",
    "proxy",
    "textconv",
    "driver",
    "filter.",
    "exec",
)


def carry(ev: Evaluator, base: str, argv: list[str], stdin: str) -> None:
    """Follow the commands that the program `base` would run."""
    if base in ("ssh", "scp", "sftp", "rsh", "mosh"):
        _ssh(ev, base, argv, stdin)
    elif base in ("docker", "podman", "nerdctl", "docker-compose", "kubectl", "oc"):
        _container(ev, base, argv, stdin)
    elif base in ("make", "gmake"):
        _make(ev, argv, stdin)
    elif base in ("at", "batch"):
        run_shell(ev, stdin, None, "", base)
    elif base == "crontab":
        for line in stdin.split("\n"):
            words = line.split(None, 5)
            if len(words) == 6:
                run_shell(ev, words[5], None, "", "crontab")
    elif base in ("tmux", "screen", "watch"):
        _terminal(ev, base, argv, stdin)
    elif base == "socat":
        for word in argv[1:]:
            kind, _, rest = word.partition(":")
            if kind.upper() in ("EXEC", "SYSTEM", "SHELL"):
                command = rest.replace("\\ ", " ").replace('\\"', '"').partition(",")[0]
                run_shell(ev, command, None, "", "socat")
    elif base in ("ncat", "nc", "netcat"):
        for index, word in enumerate(argv[:-1]):
            if word in ("-e", "-c", "--exec", "--sh-exec"):
                run_shell(ev, argv[index + 1], None, "", base)
    elif base in ("cmd", "powershell", "pwsh"):
        from utils.guard.powershell import refuse

        refuse(" ".join([*argv[1:], stdin if "-" in argv or len(argv) == 1 else ""]), ev)
    elif base == "ed":
        for line in stdin.split("\n"):
            if "!" in line:
                run_shell(ev, line.partition("!")[2], None, "", "ed")
    elif base == "sshpass":
        at = options_end(argv, "pfdP", ())
        if at < len(argv):
            dispatch(ev, argv[at:], stdin)
    elif base in ("vim", "nvim", "vi", "ex"):
        for word in argv[1:]:
            if word.startswith(("+!", "+:!")):
                run_shell(ev, word.partition("!")[2], None, "", base)
    elif base == "start-stop-daemon" and "--" in argv:
        run_words(ev, argv[argv.index("--") + 1 :], stdin, base)
    elif base == "wsl":
        at = options_end(argv, "due", ("distribution", "user", "exec", "cd"))
        run_words(ev, argv[at:], stdin, base)


def git(ev: Evaluator, argv: list[str], stdin: str) -> str:
    """Follow what git runs, and judge what it opens and cleans."""
    at = 1
    directory = ""
    while at < len(argv) and argv[at][:1] == "-":
        word = argv[at]
        if word in ("-c", "--config-env") and at + 1 < len(argv):
            _git_setting(ev, argv[at + 1])
            at += 1
        elif word == "-C" and at + 1 < len(argv):
            directory = argv[at + 1]
            at += 1
        elif word in ("--git-dir", "--work-tree", "--namespace", "--exec-path"):
            at += 1
        at += 1
    if at >= len(argv):
        return UNKNOWN
    command, rest = argv[at], argv[at + 1 :]
    if command == "clean" and ev.policy.git_clean:
        _git_clean(ev, rest, directory)
    if command == "config" and rest:
        operands = [word for word in rest if word[:1] != "-" and word != "set"]
        if len(operands) > 1:
            _git_setting(ev, f"{operands[0]}={operands[1]}")
    if command == "submodule" and "foreach" in rest:
        words = [w for w in rest[rest.index("foreach") + 1 :] if w != "--recursive"]
        if len(words) == 1:
            run_shell(ev, words[0], None, "", "git submodule foreach")
        else:
            run_words(ev, words, "", "git submodule foreach")
    if command == "bisect" and rest[:1] == ["run"]:
        run_words(ev, rest[1:], "", "git bisect run")
    if command in (
        "rebase",
        "filter-branch",
        "difftool",
        "mergetool",
        "fetch",
        "clone",
        "ls-remote",
        "pull",
        "push",
    ):
        for index, word in enumerate(rest):
            name, equals, value = word.partition("=")
            if name in ("-x", "--exec", "--extcmd", "--upload-pack", "--receive-pack", "-u") or name.endswith(
                "-filter"
            ):
                text = value if equals else (rest[index + 1] if index + 1 < len(rest) else "")
                if " " in text:
                    run_shell(ev, text, None, "", f"git {command} {name}")
    if command == "apply" and stdin:
        from utils.guard.envfiles import names_protected
        from utils.guard.verdict import ENV_FILE

        for line in stdin.split("\n"):
            if line.startswith(("--- ", "+++ ")) and names_protected(line[4:].split("\t")[0], ev.policy):
                raise Refused(ENV_FILE, f"git apply would change {plain(line[4:])}")
    if command == "grep":
        opens(ev, "grep", ["grep", *rest])
    else:
        opens(ev, "git", argv)
    if command == "ls-files":
        return f"{DEEP}\n" if not any(word[:1] != "-" for word in rest) else ev.unknown(" ".join(rest))
    if command == "rev-parse" and "--show-toplevel" in rest and ev.policy.project:
        return ev.policy.project + "\n"
    return ev.unknown(" ".join(argv))


def _git_setting(ev: Evaluator, setting: str) -> None:
    name, _, value = setting.partition("=")
    if any(part in name.lower() for part in _GIT_RUNS) and value:
        if name.lower().startswith("alias.") and not value.startswith("!"):
            value = "git " + value
        run_shell(ev, value.lstrip("!"), None, "", f"git {name}")


def _git_clean(ev: Evaluator, rest: list[str], directory: str) -> None:
    flags = "".join(word[1:] for word in rest if word[:1] == "-" and word[1:2] != "-")
    forced = "f" in flags or "--force" in rest
    if not forced or "n" in flags or "--dry-run" in rest:
        return
    targets = [word for word in rest if word[:1] != "-"]
    if "d" in flags or "x" in flags.lower():
        where = directory or "."
        refuse_targets(ev, targets or [where], plain("git clean " + " ".join(rest)))


def _elsewhere(ev: Evaluator, argv: list[str], stdin: str, what: str, *, text: bool) -> None:
    """Evaluate a command that runs on another machine, where no path of ours is known to be safe."""
    outer, state = ev.remote, ev.state
    ev.remote = True
    ev.state = state.copy()
    ev.state.cwd = [UNKNOWN]
    try:
        if text:
            run_shell(ev, " ".join(argv), None, stdin, what)
        else:
            run_words(ev, argv, stdin, what)
    finally:
        ev.remote, ev.state = outer, state


_SSH_RUNS = ("proxycommand", "localcommand", "knownhostscommand", "remotecommand")


def _ssh(ev: Evaluator, base: str, argv: list[str], stdin: str) -> None:
    for index, word in enumerate(argv[1:], 1):
        place = word.find("o")
        value = ""
        if word[:1] == "-" and word[1:2] != "-" and place > 0 and word[1:place].isalpha() | (place == 1):
            value = word[place + 1 :] or (argv[index + 1] if index + 1 < len(argv) else "")
        name, _, command = value.partition("=") if "=" in value else value.partition(" ")
        if name.strip().lower() in _SSH_RUNS:
            run_shell(ev, command, None, "", f"{base} -o {name}")
    if base != "ssh":
        return
    at = options_end(argv, "bcDEeFIiJLlmOopQRSWw", ())
    rest = options_end(argv, "bcDEeFIiJLlmOopQRSWw", (), at + 1)
    if rest < len(argv):
        _elsewhere(ev, argv[rest:], stdin, "ssh", text=True)
    elif stdin and at < len(argv) and "-N" not in argv:
        _elsewhere(ev, [stdin], "", "ssh reads a script from its input", text=True)


_CONTAINER_VALUES = (
    "name",
    "env",
    "volume",
    "publish",
    "user",
    "workdir",
    "network",
    "entrypoint",
    "env-file",
    "mount",
    "label",
    "platform",
    "file",
    "project-name",
    "namespace",
    "container",
    "context",
    "hostname",
    "add-host",
    "cap-add",
    "cap-drop",
    "memory",
    "cpus",
    "gpus",
    "device",
    "shm-size",
    "tmpfs",
    "index",
    "restart",
    "pull",
    "security-opt",
    "log-driver",
    "log-opt",
    "ulimit",
    "ipc",
    "pid",
    "net",
)


def _container(ev: Evaluator, base: str, argv: list[str], stdin: str) -> None:
    if "--" in argv:
        _elsewhere(ev, argv[argv.index("--") + 1 :], stdin, base, text=False)
        return
    at = options_end(argv, "fpncHl", _CONTAINER_VALUES)
    if argv[at : at + 1] == ["compose"]:
        at = options_end(argv, "fp", _CONTAINER_VALUES, at + 1)
    if argv[at : at + 1] == ["container"]:
        at += 1
    if at >= len(argv) or argv[at] not in ("run", "exec", "create"):
        return
    first = options_end(argv, "evpuwlhmc", _CONTAINER_VALUES, at + 1)
    command = argv[first + 1 :]
    if command:
        _elsewhere(ev, command, stdin, f"{base} {argv[at]}", text=False)
    for index, word in enumerate(argv[at:first], at):
        if word == "--entrypoint" and index + 1 < len(argv):
            _elsewhere(ev, [argv[index + 1], *command], stdin, f"{base} --entrypoint", text=False)


def _make(ev: Evaluator, argv: list[str], stdin: str) -> None:
    sources = []
    for index, word in enumerate(argv[1:], 1):
        if word in ("-f", "--file") and index + 1 < len(argv):
            path = argv[index + 1]
            found = ev.content(path, stdin)
            sources.append("" if found == UNKNOWN else found)
        elif word.startswith("--eval="):
            sources.append(word[7:])
        elif word == "--eval" and index + 1 < len(argv):
            sources.append(argv[index + 1])
        elif "=" in word and not word.startswith("-"):
            name, _, value = word.partition("=")
            if name.upper() in ("SHELL", "RM", "CC", "CMD", "COMMAND"):
                run_shell(ev, value, None, "", f"make {name}")
    for source in sources:
        for line in source.replace("\\\n", " ").split("\n"):
            recipe = line.partition(";")[2] if not line.startswith("\t") and ";" in line else line
            if line.startswith("\t") or ";" in line:
                run_shell(ev, recipe.strip().lstrip("@-+").replace("$$", "$"), None, "", "make")
            if "$(shell" in line:
                run_shell(ev, line.partition("$(shell")[2].rpartition(")")[0], None, "", "make $(shell)")


def _terminal(ev: Evaluator, base: str, argv: list[str], stdin: str) -> None:
    if base == "watch":
        at = options_end(argv, "ndq", ("interval",))
        run_shell(ev, " ".join(argv[at:]), None, "", "watch")
        return
    for index, word in enumerate(argv[1:], 1):
        if " " in word:
            run_shell(ev, word, None, "", base)
        elif word in ("rm", "sh", "bash", "sudo", "env", "find", "xargs") or word.endswith("/rm"):
            run_words(ev, argv[index:], stdin, base)
            return
