"""The shell's compound commands: branches, loops, functions, declarations."""

from __future__ import annotations

from utils.guard.marks import UNKNOWN, is_known
from utils.guard.state import joined
from utils.guard.words import fields, text, unique

TYPE_CHECKING = False  # typing itself costs a third of a hook
if TYPE_CHECKING:
    from typing import Any

    from utils.guard.evaluator import Evaluator

    Node = dict[str, Any]


def command(ev: Evaluator, node: Node, stdin: str) -> str:
    """Evaluate one compound command and return what it prints."""
    kind = node["Type"]
    if kind == "Block":
        return ev.run(node.get("Stmts"), stdin)
    if kind == "Subshell":
        return ev.subshell(node.get("Stmts"), stdin)
    if kind == "IfClause":
        return _if(ev, node, stdin)
    if kind == "WhileClause":
        return _while(ev, node, stdin)
    if kind == "ForClause":
        return _for(ev, node, stdin)
    if kind == "CaseClause":
        return _case(ev, node, stdin)
    if kind == "FuncDecl":
        name = node["Name"]["Value"]
        ev.functions[name] = (node["Body"], ev.source)
        if name == "command_not_found_handle":  # nobody calls it by name
            call_function(ev, name, [UNKNOWN], "")
        return ""
    if kind == "DeclClause":
        return declare(ev, node)
    if kind in ("TimeClause", "CoprocClause"):
        inner = node.get("Stmt")
        output = ev.statement(inner, stdin) if inner else ""
        if kind == "CoprocClause":
            ev.descriptors["coproc"] = output
        return output
    ev.run_nested(node)
    return ""


def _if(ev: Evaluator, node: Node, stdin: str) -> str:
    outputs = []
    ends = []
    clause: Node | None = node
    while clause:
        outputs.append(ev.run(clause.get("Cond"), stdin))
        before = ev.state
        ev.state = before.copy()
        outputs.append(ev.run(clause.get("Then"), stdin))
        ends.append(ev.state)
        ev.state = before
        clause = clause.get("Else")
        if clause and not clause.get("Cond"):
            ev.state = before.copy()
            outputs.append(ev.run(clause.get("Then"), stdin))
            ends.append(ev.state)
            before = ev.state
            ev.state = joined(ends)
            return "".join(outputs)
    ev.state = joined([*ends, ev.state])
    return "".join(outputs)


def _while(ev: Evaluator, node: Node, stdin: str) -> str:
    outputs = []
    before = ev.state.copy()
    for _ in range(2):  # the second round sees what the first one set
        outputs.append(ev.run(node.get("Cond"), stdin))
        outputs.append(ev.run(node.get("Do"), stdin))
        ev.state.ended = False
    ev.state = joined([before, ev.state])
    return "".join(outputs)


def _for(ev: Evaluator, node: Node, stdin: str) -> str:
    from utils.guard.evaluator import LONGEST_LOOP

    loop = node["Loop"]
    if loop.get("Type") != "WordIter":
        ev.run_nested(loop)
        outputs = [ev.run(node.get("Do"), stdin) for _ in range(2)]
        return "".join(outputs)
    name = loop["Name"]["Value"]
    words = loop.get("Items")
    if words is None and not loop.get("InPos", {}).get("Offset"):
        items = list(ev.state.parameters) if ev.state.parameters is not None else [UNKNOWN]
    else:
        items = [field for word in words or () for alternative in fields(ev, word) for field in alternative]
    outputs = []
    before = ev.state.copy()
    rounds = [[item] for item in items]
    most = LONGEST_LOOP >> (2 * ev.loops)  # loops within loops multiply
    if len(items) > most:
        distinct = list(dict.fromkeys(items))
        rounds = [[item] for item in distinct[:most]] + [[UNKNOWN]]
        smelly = [item for item in distinct[most:] if ev.unknown(item) != UNKNOWN]
        rounds += [[item] for item in smelly[: most or 1]]
    ev.loops += 1
    for values in rounds:
        ev.assign(name, values)
        outputs.append(ev.run(node.get("Do"), stdin))
        ev.state.ended = False
    ev.loops -= 1
    if not items:
        ev.state = joined([before, ev.state])
    return "".join(outputs)


def _case(ev: Evaluator, node: Node, stdin: str) -> str:
    text(ev, node.get("Word"))
    outputs = []
    before = ev.state
    ends = [before]
    for item in node.get("Items") or ():
        for pattern in item.get("Patterns") or ():
            text(ev, pattern)
        ev.state = before.copy()
        outputs.append(ev.run(item.get("Stmts"), stdin))
        ends.append(ev.state)
    ev.state = joined(ends)
    return "".join(outputs)


def declare(ev: Evaluator, node: Node) -> str:
    """Evaluate ``declare``, ``local``, ``export``, ``readonly``, ``nameref``."""
    variant = (node.get("Variant") or {}).get("Value", "")
    reference = variant == "nameref"
    constant = variant == "readonly"
    found: list[tuple[str, list[str]]] = []
    for argument in node.get("Args") or ():
        name = (argument.get("Name") or {}).get("Value", "")
        if argument.get("Array") is not None:
            _localise(ev, variant, name)
            ev.assignment(argument)
        elif name and not argument.get("Naked"):
            values = [v for alternative in fields(ev, argument.get("Value") or {}) for v in alternative]
            if argument.get("Append"):
                values = [old + new for old in ev.variable(name) for new in values or [""]]
            found.append((name, unique(values or [""])))
        elif name:
            found.append((name, []))
        else:
            for option in text(ev, argument.get("Value")):
                if option.startswith("-") and is_known(option):
                    reference = reference or "n" in option
                    constant = constant or "r" in option
                elif "=" in option:
                    left, _, right = option.partition("=")
                    found.append((left, [right]))
    for name, values in found:
        _localise(ev, variant, name)
        if reference and values:
            ev.references[name] = values[0]
        elif values:
            ev.assign(name, values)
        if constant:
            ev.constants.add(name)
    return ""


def _localise(ev: Evaluator, variant: str, name: str) -> None:
    """Remember the value that a local variable hides."""
    if ev.frames and variant in ("local", "declare", "typeset") and name not in ev.frames[-1]:
        ev.frames[-1][name] = ev.state.variables.get(name)


def call_function(ev: Evaluator, name: str, arguments: list[str], stdin: str) -> str:
    """Evaluate a function that the command itself defines."""
    from utils.guard.evaluator import DEEPEST

    if ev.depth > DEEPEST or ev.trail.count(f"function {name}") > 3:
        return UNKNOWN
    body, source = ev.functions[name]
    outer = ev.source, ev.state.parameters
    ev.source, ev.state.parameters = source, arguments
    ev.frames.append({})
    ev.trail.append(f"function {name}")
    ev.depth += 1
    try:
        return ev.statement(body, stdin)
    finally:
        ev.depth -= 1
        ev.trail.pop()
        for hidden, value in ev.frames.pop().items():
            if value is None:
                ev.state.variables.pop(hidden, None)
            else:
                ev.state.variables[hidden] = value
        ev.source, ev.state.parameters = outer
        ev.state.ended = False
