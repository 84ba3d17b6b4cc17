"""The evaluator: walks a command's tree as a shell would, without running anything.

It follows words, assignments, functions, pipes, here-documents, substitutions and files that the command
itself writes. Where a value depends on what cannot be seen it is unknown (`marks`), where branches meet it
has alternatives. The first act that the policy refuses ends the walk with `Refused`.
"""

from __future__ import annotations

from utils.guard.envfiles import names_protected
from utils.guard.marks import UNKNOWN, UNKNOWN_ENV, UNKNOWN_RM, is_known, is_literal, plain
from utils.guard.shell import MOST_OUTPUT, Shell
from utils.guard.state import MOST, joined
from utils.guard.syntax import TooLargeError, Unparsable, parse
from utils.guard.verdict import ENV_FILE, RM_RF, Refused
from utils.guard.words import fields, node_op, text, unique

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from typing import Any

    from utils.guard.state import State

    Node = dict[str, Any]

MOST_STEPS = 25_000  # commands evaluated, loops and calls unrolled
MOST_PARSED = 250_000  # characters parsed, scripts within scripts counted anew
DEEPEST = 60  # scripts within scripts, functions within functions
LONGEST_LOOP = 48  # items of a for loop that are followed one by one


class Evaluator(Shell):
    """One evaluation of one command; `Shell` holds what it knows."""

    # Scripts and statements

    def script(self, command: str, *, stdin: str = "", what: str = "") -> str:
        """Evaluate `command` as a shell's input and return its standard output; raises `Refused`."""
        if not is_known(command):
            self.refuse_smelling(command)
        self.depth += 1
        self.parsed += len(command)
        if self.depth == 1:
            self.command = command
        elif self.depth > DEEPEST or self.parsed > MOST_PARSED + len(self.command):
            raise TooLargeError
        if what:
            self.trail.append(f"{what}: {plain(command.strip())[:160]}")
        outer = self.source
        try:
            try:
                statements, self.source = parse(command, self.policy.shfmt)
            except (TooLargeError, Unparsable):
                from utils.guard.rules import refuse_by_text

                refuse_by_text(command, self)
                return UNKNOWN
            return self.run(statements, stdin)
        except Refused as refused:
            refused.came_by(self.trail)
            raise
        finally:
            self.source = outer
            self.depth -= 1
            if what:
                self.trail.pop()

    def finish(self) -> None:
        """Evaluate what runs when the shell ends."""
        for _ in range(20):
            if not self.traps:
                return
            self.script(self.traps.pop(0), what="trap")

    def refuse_smelling(self, command: str) -> None:
        """Refuse a script of unknown text whose origin smells of a protected act."""
        if UNKNOWN_RM in command:
            raise Refused(RM_RF, "a script is made from text that deletes recursively")
        if UNKNOWN_ENV in command:
            raise Refused(ENV_FILE, "a script is made from text that names a protected file")

    def run(self, statements: list[Node] | None, stdin: str = "") -> str:
        """Evaluate statements in turn and return what they print."""
        outputs: list[str] = []
        size = 0
        for statement in statements or ():
            output = self.statement(statement, stdin)
            if self.state.old_cwd:
                self._cd_may_have_failed()
            if output and size < MOST_OUTPUT:
                outputs.append(output)
                size += len(output)
        if size >= MOST_OUTPUT:
            outputs.append(UNKNOWN)
        return "".join(outputs)

    def _cd_may_have_failed(self) -> None:
        old, self.state.old_cwd = self.state.old_cwd, []
        if not self.exits_on_error:
            self.state.cwd = unique(self.state.cwd + old)

    def statement(self, node: Node, stdin: str) -> str:
        """Evaluate one statement with its redirections and return what it prints to standard output."""
        redirections = node.get("Redirs") or ()
        command = node.get("Cmd")
        if not redirections:
            return self._command(command, stdin) if command else ""
        sinks: list[str | Node] = []
        for redirection in redirections:
            stdin, found = self._redirect(redirection, stdin, permanent=_is_bare_exec(command))
            sinks += found
        output = self._command(command, stdin) if command else stdin if sinks == [] else ""
        if not sinks:
            return output
        appends = any(node_op(self, r).startswith(">>") for r in redirections)
        for sink in sinks:
            self.deliver(sink, output, appends=appends)
        return ""

    def _redirect(self, node: Node, stdin: str, *, permanent: bool) -> tuple[str, list[str | Node]]:
        """Return the standard input and the sinks of standard output that a redirection gives."""
        operator = node_op(self, node)
        number = (node.get("N") or {}).get("Value", "")
        if operator.startswith("<<") and not operator.startswith("<<<"):
            body = node.get("Hdoc")
            delimiter = node.get("Word") or {}
            content = self._here_document(body, delimiter, dash=operator.startswith("<<-"))
            return self._input(content, stdin, number, permanent=permanent), []
        if operator.startswith("<<<"):
            content = "\n".join(text(self, node.get("Word"))) + "\n"
            return self._input(content, stdin, number, permanent=permanent), []
        alternatives = [" ".join(f) for f in fields(self, node.get("Word") or {})]
        process = self._process_node(node.get("Word") or {})
        sinks: list[str | Node] = []
        for target in alternatives:
            if names_protected(target, self.policy) or UNKNOWN_ENV in target:
                raise Refused(ENV_FILE, f"a redirection opens {plain(target)}")
            if operator.startswith(("<&", "<")) and operator[:2] != "<>":
                content = self.content(target, stdin, duplicate=operator.startswith("<&"))
                stdin = self._input(content, stdin, number, permanent=permanent)
            elif operator.startswith(">&") and (target.isdigit() or target == "-"):
                if target in self.sinks:
                    sinks.append(target)
                elif target not in ("1", "-", "2") and number in ("", "1"):
                    sinks.append("&" + target)
            elif permanent and number and process is not None:
                name = self._descriptor(number)
                self.sinks[name] = (process, self.source)
            elif number in ("", "1") or operator.startswith("&"):
                sinks.append(process if process is not None else target)
        return stdin, sinks

    def _process_node(self, word: Node) -> Node | None:
        parts = word.get("Parts") or []
        if len(parts) == 1 and parts[0]["Type"] == "ProcSubst":
            return dict(parts[0])
        return None

    def _descriptor(self, number: str) -> str:
        """Return the number of a descriptor, choosing one for ``{name}``."""
        if number.startswith("{"):
            chosen = str(10 + len(self.descriptors) + len(self.sinks))
            self.assign(number.strip("{}"), [chosen])
            return chosen
        return number

    def _input(self, content: str, stdin: str, number: str, *, permanent: bool) -> str:
        if number not in ("", "0"):
            self.descriptors[self._descriptor(number)] = content
            return stdin
        if permanent:
            self.descriptors["0"] = content
        return content

    def content(self, target: str, stdin: str, *, duplicate: bool = False) -> str:
        """Return what reading `target` yields, as far as the command itself wrote it."""
        if duplicate:
            return self.descriptors.get(target, UNKNOWN)
        if target in ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "-"):
            return stdin
        if target.startswith(("/dev/fd/", "/proc/self/fd/")):
            return self.descriptors.get(target.rpartition("/")[2], UNKNOWN)
        if target == "/dev/null":
            return ""
        return self.files.get(self.absolute(target), UNKNOWN)

    def _here_document(self, body: Node | None, delimiter: Node, *, dash: bool) -> str:
        if body is None:
            return ""
        if any(
            part["Type"] != "Lit" or "\\" in part.get("Value", "") for part in delimiter.get("Parts") or ()
        ):
            content = "".join(part.get("Value", "") for part in body.get("Parts") or ())
        else:
            content = text(self, {"Parts": [{"Type": "DblQuoted", "Parts": body.get("Parts") or []}]})[0]
        if dash:
            content = "\n".join(line.lstrip("\t") for line in content.split("\n"))
        return content

    def deliver(self, sink: str | Node, output: str, *, appends: bool) -> None:
        """Bring a command's output to a file, a descriptor or a process."""
        if isinstance(sink, dict):
            self._in_subshell(sink.get("Stmts"), output)
        elif sink in self.sinks:
            node, source = self.sinks[sink]
            outer, self.source = self.source, source
            try:
                self._in_subshell(node.get("Stmts"), output)
            finally:
                self.source = outer
        elif is_literal(sink):
            self.write(sink, output, appends=appends)

    # Commands

    def _command(self, node: Node, stdin: str) -> str:
        kind = node["Type"]
        if kind == "CallExpr":
            return self._call(node, stdin)
        if kind == "BinaryCmd":
            return self._binary(node, stdin)
        if kind == "Pipeline":
            return self._pipeline(node["stages"], stdin)
        if kind == "AndOr":
            return self._and_or(node["items"], stdin)
        from utils.guard import compound  # most commands have none

        return compound.command(self, node, stdin)

    def _binary(self, node: Node, stdin: str) -> str:
        """Flatten a left-leaning tree of pipes or of and-or and evaluate it."""
        operator = node_op(self, node)[:2]
        pipes = operator[0] == "|" and operator != "||"
        items: list[tuple[str, Node]] = []
        inner: Node = node
        while True:
            found = node_op(self, inner)[:2]
            items.append((found, inner["Y"]))
            left = inner["X"]
            below = left.get("Cmd") or {}
            plain_left = not (left.get("Redirs") or left.get("Negated") or left.get("Background"))
            if below.get("Type") == "BinaryCmd" and plain_left:
                next_operator = node_op(self, below)[:2]
                if (next_operator[0] == "|" and next_operator != "||") is pipes:
                    inner = below
                    continue
            items.append(("", left))
            break
        items.reverse()
        if pipes:
            return self._pipeline([item for _, item in items], stdin)
        chain = [("", items[0][1])]
        chain += [(operator_, item) for operator_, item in items[1:]]
        return self._and_or(chain, stdin)

    def _pipeline(self, stages: list[Node], stdin: str) -> str:
        before = self.state
        for stage in stages:
            self.state = before.copy()
            stdin = self.statement(stage, stdin)
        if stages:
            after = self.state
            after.ended = False
            self.state = joined([before, after])
        return stdin

    def _and_or(self, items: list[tuple[str, Node]], stdin: str) -> str:
        outputs = [self.statement(items[0][1], stdin)]
        skipped: list[State] = []
        for operator, item in items[1:]:
            if self.state.old_cwd:
                failed = self.state.copy()
                failed.cwd, self.state.old_cwd = self.state.old_cwd, []
            else:
                failed = self.state.copy()
            failed.ended = False
            if operator == "&&":
                skipped.append(failed)
            else:
                succeeded = self.state
                self.state = joined([failed, *skipped])
                skipped = [succeeded]
            if len(skipped) > 4:
                skipped = [joined(skipped)]
            outputs.append(self.statement(item, stdin))
        cds = self.state.old_cwd
        self.state = joined([self.state, *skipped])
        self.state.old_cwd = cds
        return "".join(outputs)

    def _in_subshell(self, statements: list[Node] | None, stdin: str) -> str:
        outer, self.state = self.state, self.state.copy()
        try:
            return self.run(statements, stdin)
        finally:
            self.state = outer

    def subshell(self, statements: list[Node] | None, stdin: str) -> str:
        """Evaluate statements whose variables and directory do not last."""
        return self._in_subshell(statements, stdin)

    def substitution(self, node: Node) -> list[str]:
        """Return the alternatives of ``$(…)``."""
        statements = node.get("Stmts") or []
        if len(statements) == 1 and not statements[0].get("Cmd") and statements[0].get("Redirs"):
            stdin = ""
            for redirection in statements[0]["Redirs"]:
                stdin, _ = self._redirect(redirection, "", permanent=False)
            return [stdin.rstrip("\n")]
        self.trail.append("$(…)")
        output = self._in_subshell(statements, "")
        self.trail.pop()
        return [output.rstrip("\n")]

    def process_substitution(self, node: Node) -> str:
        """Return a path that stands for ``<(…)`` and remember what reading it yields."""
        if node_op(self, node).startswith(">"):
            self._in_subshell(
                node.get("Stmts"), ""
            )  # what it does with its input is judged when that is known
            name = f"/dev/fd/{60 + len(self.sinks)}"
            self.sinks[name] = (node, self.source)
            return name
        output = self._in_subshell(node.get("Stmts"), "")
        name = str(60 + len(self.descriptors))
        self.descriptors[name] = output
        return f"/dev/fd/{name}"

    def run_nested(self, node: object) -> None:
        """Evaluate the substitutions anywhere within `node`."""
        pending = [node]
        while pending:
            item = pending.pop()
            if isinstance(item, list):
                pending += item
            elif isinstance(item, dict):
                kind = item.get("Type")
                if kind == "CmdSubst":
                    self.substitution(item)
                elif kind == "ProcSubst":
                    self.process_substitution(item)
                else:
                    if kind == "ParamExp":
                        fields(self, {"Parts": [item]})
                    pending += [value for value in item.values() if isinstance(value, (dict, list))]

    def arithmetic(self, node: Node) -> str:
        """Return the value of an arithmetic expression where it is a plain number."""
        inner = node.get("X") or {}
        if "Parts" in inner:
            value = text(self, inner)[0]
            if value.lstrip("-").isdigit():
                return value
            if value.isidentifier():
                values = self.variable(value)
                if len(values) == 1 and values[0].lstrip("-").isdigit():
                    return values[0]
        elif inner.get("Type") == "UnaryArithm" and "Parts" in (inner.get("X") or {}):
            value = text(self, inner["X"])[0]
            if node_op(self, inner).startswith("-") and value.isdigit():
                return "-" + value
        return UNKNOWN

    def _call(self, node: Node, stdin: str) -> str:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise TooLargeError
        assigns = node.get("Assigns") or ()
        arguments = node.get("Args") or ()
        alternatives: list[list[str]] = [[]]
        for word in arguments:
            found = fields(self, word)
            if len(found) == 1:
                only = found[0]
                for alternative in alternatives:
                    alternative += only
            else:
                alternatives = [old + new for old in alternatives for new in found]
                if len(alternatives) > MOST:
                    alternatives = _folded(alternatives)
        if not assigns:
            return self._dispatch_all(alternatives, stdin)
        if not any(alternatives):
            for assign in assigns:
                self.assignment(assign)
            return self._dispatch_all(alternatives, stdin) if arguments else ""
        before = self.state.variables
        self.state.variables = dict(before)
        for assign in assigns:
            self.assignment(assign)
        output = self._dispatch_all(alternatives, stdin)
        for assign in assigns:  # what the command itself set, as read does, stays
            name = (assign.get("Name") or {}).get("Value", "")
            self.state.variables.pop(name, None)
            if name in before:
                self.state.variables[name] = before[name]
        return output

    def _dispatch_all(self, alternatives: list[list[str]], stdin: str) -> str:
        from utils.guard.commands import dispatch

        if len(alternatives) == 1:
            return dispatch(self, alternatives[0], stdin) if alternatives[0] else ""
        outputs = []
        states = []
        before = self.state
        for alternative in alternatives:
            self.state = before.copy()
            if alternative:
                outputs.append(dispatch(self, alternative, stdin))
            states.append(self.state)
        self.state = joined(states)
        return "\n".join(unique([output for output in outputs if output]))

    def assignment(self, node: Node) -> None:
        """Evaluate one ``name=value``, ``name+=value`` or ``name=(…)``."""
        name = (node.get("Name") or {}).get("Value", "")
        if node.get("Index") is not None:
            self.run_nested(node["Index"])
        array = node.get("Array")
        if array is not None:
            items: list[str] = []
            for element in array.get("Elems") or ():
                if element.get("Index") is not None:
                    self.run_nested(element["Index"])
                found = fields(self, element.get("Value") or {})
                items += [field for alternative in found for field in alternative]
            if node.get("Append"):
                old = self.raw(name)
                items = [*(old[0] if old and isinstance(old[0], list) else []), *items]
            if name not in self.constants:
                self.state.variables[self.references.get(name, name)] = [items]
            return
        values = text(self, node.get("Value"))
        if node.get("Index") is not None:
            old = self.raw(name)
            items = list(old[0]) if old and isinstance(old[0], list) else []
            self.state.variables[name] = [[*items, *values]]
            return
        if node.get("Append"):
            values = [old + new for old in self.variable(name) for new in values]
        self.assign(name, values)


def _is_bare_exec(command: Node | None) -> bool:
    arguments = (command or {}).get("Args") or []
    if len(arguments) != 1:
        return False
    parts = arguments[0].get("Parts") or []
    return len(parts) == 1 and parts[0].get("Value") == "exec"


def _folded(alternatives: list[list[str]]) -> list[list[str]]:
    """Return fewer alternatives that name at least as much: one for each command, with all its arguments."""
    merged: dict[str, list[str]] = {}
    for alternative in alternatives:
        known = merged.setdefault(alternative[0] if alternative else "", alternative[:1])
        known += [argument for argument in alternative[1:] if argument not in known[1:]]
    return list(merged.values())[:MOST]
