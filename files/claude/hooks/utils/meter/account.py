"""What a record, a data point or an event adds to which series; whose it is, is the ledger's affair."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import contract, otlp
from .contract import MICRO, NANO
from .record import Malformed

if TYPE_CHECKING:
    from .otlp import Event, Point
    from .record import Record

Labels = tuple[str, ...]

MOST = 10**15
"""No single input adds more: a million dollars, eleven days of activity, any number of tokens."""


class Add(NamedTuple):
    """An amount for one series: a counter's increment or a histogram's observation, in the metric's scale."""

    metric: str
    labels: Labels
    amount: int


def _label(attribute: str, allowed: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    return attribute, allowed


_OFFICIAL: dict[str, tuple[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "claude_code.session.count": (
        "claude_code_sessions_total",
        (_label("start_type", contract.START_TYPES),),
    ),
    "claude_code.lines_of_code.count": (
        "claude_code_lines_of_code_total",
        (_label("type", contract.LINE_TYPES),),
    ),
    "claude_code.commit.count": ("claude_code_commits_total", ()),
    "claude_code.pull_request.count": ("claude_code_pull_requests_total", ()),
    "claude_code.cost.usage": (
        "claude_code_spend_usd_total",
        (_label("model", ()), _label("query_source", contract.QUERY_SOURCES)),
    ),
    "claude_code.token.usage": (
        "claude_code_tokens_total",
        (
            _label("model", ()),
            _label("query_source", contract.QUERY_SOURCES),
            _label("type", contract.TOKEN_TYPES),
        ),
    ),
    "claude_code.code_edit_tool.decision": (
        "claude_code_edit_decisions_total",
        (
            _label("tool_name", contract.TOOLS),
            _label("decision", contract.DECISIONS),
            _label("source", contract.DECISION_SOURCES),
        ),
    ),
    "claude_code.active_time.total": (
        "claude_code_active_time_seconds_total",
        (_label("type", contract.ACTIVE_TYPES),),
    ),
}


def of_record(record: Record) -> list[Add]:
    """Return what `record` adds whatever came before; outcomes and waits depend on the session."""
    event = record.event if record.event in _EVENTS else contract.OTHER
    adds = [Add("claude_code_hook_events_total", (event,), 1)]
    if event == "PreToolUse":
        tool = contract.fold_tool(record.tool)
        adds += _of_guard(record, tool)
        if record.blocked:
            adds.append(Add("claude_code_tool_usage_total", (tool, "blocked"), 1))
    elif event == "UserPromptSubmit":
        adds += _of_guard(record, contract.PROMPT)
        if not record.blocked:  # the model never saw it
            adds.append(Add("claude_code_prompts_total", (), 1))
    elif event == "Notification":
        kind = contract.fold(record.detail, contract.NOTIFICATIONS)
        adds.append(Add("claude_code_notifications_total", (kind,), 1))
    elif event == "PreCompact":
        trigger = contract.fold(record.detail, contract.TRIGGERS)
        adds.append(Add("claude_code_compactions_total", (trigger,), 1))
    elif event == "SubagentStart":
        agent = contract.fold(record.detail, contract.AGENTS)
        adds.append(Add("claude_code_subagents_total", (agent,), 1))
    return adds


_EVENTS = frozenset(contract.EVENTS)


def _of_guard(record: Record, tool: str) -> list[Add]:
    """Return what the guard's decision on a call of `tool`, or on a prompt, adds."""
    if record.blocked:
        reason = contract.fold(record.blocked, contract.REASONS)
        return [Add("claude_code_security_blocks_total", (reason, tool), 1)]
    if record.audited:
        reason = contract.fold(record.audited, contract.REASONS)
        return [Add("claude_code_security_audits_total", (reason, tool), 1)]
    return []


def of_outcome(record: Record) -> list[Add]:
    """Return what the first report on a finished tool call adds."""
    tool = contract.fold_tool(record.tool)
    outcome = "failure" if record.event == "PostToolUseFailure" else "success"
    adds = [Add("claude_code_tool_usage_total", (tool, outcome), 1)]
    if record.duration is not None:
        adds.append(Add("claude_code_tool_duration_seconds", (tool,), round(record.duration * 1000)))
    for direction, size in (("input", record.input_size), ("output", record.output_size)):
        if size in contract.SIZES:  # a journal from before sizes, or of a later version's classes, has none
            adds.append(Add("claude_code_tool_sizes_total", (tool, direction, size), 1))
    return adds


def of_point(point: Point) -> Add:
    """Return what the whole value of `point` adds, as if it were the first.

    Raises `Malformed`: ``unknown_metric``, or ``value`` for a fraction of what comes in wholes.
    """
    known = _OFFICIAL.get(point.name)
    if known is None:
        raise Malformed("unknown_metric")
    metric, wanted = known
    scale = contract.CONTRACT[metric].scale
    amount = round(point.value * scale)
    if amount > MOST or (scale == 1 and amount != point.value):
        raise Malformed("value")
    return Add(metric, tuple(_folded(point, name, allowed) for name, allowed in wanted), amount)


def _folded(point: Point, name: str, allowed: tuple[str, ...]) -> str:
    value = point.attributes.get(name)
    if name == "model":
        return contract.fold_model(value)
    if name == "tool_name":
        return contract.fold_tool(value)
    return contract.fold(value, allowed)


def of_session(add: Add) -> Add | None:
    """Return what `add` means for the gauges of the live session it belongs to."""
    if add.metric == "claude_code_spend_usd_total":
        return Add("claude_code_cost_usd", add.labels[:1], add.amount)
    if add.metric == "claude_code_tokens_total":
        return Add("claude_code_tokens_consumed", (add.labels[0], add.labels[2]), add.amount)
    return None


def of_event(event: Event) -> list[Add]:
    """Return what `event` adds by itself; raises `Malformed` (``value``) if a number in it is none."""
    get = event.attributes.get
    if event.name == "api_request":
        model = contract.fold_model(get("model"))
        adds = [Add("claude_code_request_cost_usd_total", (model,), cost(event))]
        for kind, attribute in (
            ("input", "input_tokens"),
            ("output", "output_tokens"),
            ("cacheRead", "cache_read_tokens"),
            ("cacheCreation", "cache_creation_tokens"),
        ):
            tokens = _amount(event, attribute, 1)
            if tokens is not None:
                adds.append(Add("claude_code_request_tokens_total", (model, kind), tokens))
        for metric, attribute in (
            ("claude_code_response_time_seconds", "duration_ms"),
            ("claude_code_time_to_first_token_seconds", "ttft_ms"),
        ):
            duration = _amount(event, attribute, 1000)
            if duration is not None:
                adds.append(Add(metric, (model,), duration))
        return adds
    if event.name == "api_error":
        return [_failed("claude_code_api_errors_total", event)]
    if event.name == "api_retries_exhausted":
        return [_failed("claude_code_api_retries_exhausted_total", event)]
    if event.name == "hook_execution_complete":
        duration = _amount(event, "total_duration_ms", 1000)
        hook = contract.fold(get("hook_event"), contract.EVENTS)
        return [] if duration is None else [Add("claude_code_hook_duration_seconds", (hook,), duration)]
    return []


def _failed(metric: str, event: Event) -> Add:
    model = contract.fold_model(event.attributes.get("model"))
    return Add(metric, (model, contract.fold_status(event.attributes.get("status_code"))), 1)


def cost(event: Event) -> int:
    """Return the cost of an `api_request` in nano-dollars."""
    amount = _amount(event, "cost_usd", NANO)
    if amount is None:
        micros = _amount(event, "cost_usd_micros", NANO // MICRO)
        return micros or 0
    return amount


def _amount(event: Event, attribute: str, scale: int) -> int | None:
    """Return a number of the event in 1/`scale`, or None if it has none."""
    value = event.attributes.get(attribute)
    if value is None or value == "":
        return None
    found = otlp.number(value)
    if found is None:
        raise Malformed("value")
    amount = round(found * scale)
    if amount > MOST:
        raise Malformed("value")
    return amount


def shares(cost_nano: int, tools: list[str]) -> list[tuple[str, int]]:
    """Split a request's cost among the tools it called: whole nano-dollars that add up to it.

    A tool called twice has two shares; what does not divide goes to the first in the alphabet. No tool:
    everything to ``none``.
    """
    if not tools:
        return [(contract.NONE, cost_nano)]
    each, left = divmod(cost_nano, len(tools))
    return [(tool, each + (index < left)) for index, tool in enumerate(sorted(tools))]
