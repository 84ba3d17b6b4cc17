"""The contract of metrics: every metric, every closed label set, and how foreign values fold into them.

Other lists of metrics (documentation, rules, panels) are generated from this one or tested against it.
"""

from __future__ import annotations

import re
import sys
from itertools import product
from typing import NamedTuple

OTHER = "other"
UNKNOWN = "unknown"
NONE = "none"
PROMPT = "prompt"
"""Stands in the place of a tool where the guard refused a prompt for a file that it mentions."""

HOOKS, METRICS, EVENTS_SOURCE, STATE, EXPORTER = (
    "hooks",
    "OTLP metrics",
    "OTLP events",
    "session state",
    "exporter",
)

NANO = 10**9
MICRO = 10**6

EVENTS = (
    "ConfigChange",
    "CwdChanged",
    "InstructionsLoaded",
    "Notification",
    "PermissionDenied",
    "PermissionRequest",
    "PostCompact",
    "PostToolUse",
    "PostToolUseFailure",
    "PreCompact",
    "PreToolUse",
    "SessionEnd",
    "SessionStart",
    "Stop",
    "StopFailure",
    "SubagentStart",
    "SubagentStop",
    "TaskCompleted",
    "TaskCreated",
    "UserPromptSubmit",
    OTHER,
)
CLIENT_EVENTS = (
    *(event for event in EVENTS if event != OTHER),
    "DirectoryAdded",
    "Elicitation",
    "ElicitationResult",
    "FileChanged",
    "MessageDisplay",
    "PostModelSwitch",
    "PostToolBatch",
    "PreModelSwitch",
    "Setup",
    "TeammateIdle",
    "UserPromptExpansion",
    "WorktreeCreate",
    "WorktreeRemove",
)
"""Every hook event that Claude Code knows; docs/hooks.md has the reason of each that is not registered."""
CANARY = "Canary"
TOOLS = (
    "Agent",
    "AskUserQuestion",
    "Bash",
    "Edit",
    "EnterPlanMode",
    "ExitPlanMode",
    "Glob",
    "Grep",
    "KillShell",
    "LSP",
    "MultiEdit",
    "NotebookEdit",
    "PowerShell",
    "Read",
    "Skill",
    "TaskOutput",
    "TodoWrite",
    "ToolSearch",
    "WebFetch",
    "WebSearch",
    "Write",
    "mcp",
    OTHER,
)
OUTCOMES = ("success", "failure", "blocked")
DIRECTIONS = ("input", "output")
SIZES = ("0", "1k", "10k", "100k", "1M", "more")
REASONS = ("rm_rf", "env_file", "guard_error", OTHER)
TOKEN_TYPES = ("input", "output", "cacheRead", "cacheCreation", OTHER)
QUERY_SOURCES = ("main", "subagent", "auxiliary", OTHER)
START_TYPES = ("fresh", "resume", "continue", "agents_view", OTHER)
LINE_TYPES = ("added", "removed", OTHER)
ACTIVE_TYPES = ("user", "cli", OTHER)
DECISIONS = ("accept", "reject", OTHER)
DECISION_SOURCES = (
    "config",
    "hook",
    "user_permanent",
    "user_temporary",
    "user_abort",
    "user_reject",
    OTHER,
)
TRIGGERS = ("manual", "auto", OTHER)
NOTIFICATIONS = ("permission_prompt", "idle_prompt", "auth_success", "elicitation_dialog", OTHER)
AGENTS = ("general-purpose", "Explore", "Plan", "statusline-setup", OTHER)
STATUS_CODES = (
    "400",
    "401",
    "403",
    "404",
    "408",
    "413",
    "429",
    "500",
    "502",
    "503",
    "504",
    "529",
    NONE,
    OTHER,
)

REJECTIONS = (
    "line_too_long",
    "json",
    "field",
    "session",
    "otlp",
    "not_a_sum",
    "temporality",
    "value",
    "unnamed",
    "unknown_metric",
    "no_session",
    "no_start",
    "forgotten",
    OTHER,
)
"""What the ledger itself refuses; the exporter adds reasons of its own, for what does not come this far."""

CLOSED: dict[tuple[str, str], tuple[str, ...]] = {}
"""The closed set of a label, by (metric, label) or, where all metrics agree, by ("", label)."""
CLOSED.update(
    {
        ("", "event"): EVENTS,
        ("", "outcome"): OUTCOMES,
        ("", "direction"): DIRECTIONS,
        ("", "size"): SIZES,
        ("", "reason"): REASONS,
        ("claude_code_exporter_rejected_total", "reason"): REJECTIONS,
        ("", "query_source"): QUERY_SOURCES,
        ("", "trigger"): TRIGGERS,
        ("", "agent_type"): AGENTS,
        ("", "start_type"): START_TYPES,
        ("", "decision"): DECISIONS,
        ("", "source"): DECISION_SOURCES,
        ("", "status_code"): STATUS_CODES,
        ("", "tool"): TOOLS,
        ("claude_code_notifications_total", "type"): NOTIFICATIONS,
        ("claude_code_tokens_total", "type"): TOKEN_TYPES,
        ("claude_code_tokens_consumed", "type"): TOKEN_TYPES,
        ("claude_code_request_tokens_total", "type"): TOKEN_TYPES,
        ("claude_code_lines_of_code_total", "type"): LINE_TYPES,
        ("claude_code_active_time_seconds_total", "type"): ACTIVE_TYPES,
        ("claude_code_reconciliation_difference_ratio", "quantity"): ("cost", "tokens"),
        ("claude_code_tool_cost_usd_total", "tool"): (*TOOLS, NONE, UNKNOWN),
        ("claude_code_security_blocks_total", "tool"): (*TOOLS, PROMPT),
        ("claude_code_security_audits_total", "tool"): (*TOOLS, PROMPT),
    }
)

_API = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
_TOOL = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)
_HOOK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0)
_PERSON = (1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_SESSION = (1.0, 10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0)


class Metric(NamedTuple):
    """One metric of the contract.

    labels: beside the constant ones and, unless `scope` is ``host``, user and project.
    scale: the ledger adds integers; one of the metric's unit is `scale` of them.
    buckets: a histogram's upper bounds, in the metric's unit, without +Inf.
    starts: combinations of labels that stand at 0 as soon as (user, project) is known.
    """

    name: str
    type: str
    help: str
    labels: tuple[str, ...] = ()
    source: str = HOOKS
    scale: int = 1
    buckets: tuple[float, ...] = ()
    scope: str = "project"
    starts: tuple[tuple[str, ...], ...] = ()


def closed(metric: str, label: str) -> tuple[str, ...]:
    """Return the closed set of `label`, or nothing where its values are open (model, session_id)."""
    return CLOSED.get((metric, label)) or CLOSED.get(("", label), ())


def _counter(
    name: str,
    text: str,
    labels: tuple[str, ...] = (),
    source: str = HOOKS,
    *,
    scale: int = 1,
    starts: bool = True,
    scope: str = "project",
) -> Metric:
    name = f"claude_code_{name}"
    sets = [closed(name, label) for label in labels]
    combinations = tuple(product(*sets)) if starts and all(sets) else ()
    return Metric(name, "counter", text, labels, source, scale=scale, starts=combinations, scope=scope)


def _gauge(
    name: str,
    text: str,
    labels: tuple[str, ...] = (),
    source: str = EXPORTER,
    *,
    scale: int = 1,
    scope: str = "host",
) -> Metric:
    return Metric(f"claude_code_{name}", "gauge", text, labels, source, scale=scale, scope=scope)


def _histogram(
    name: str, text: str, labels: tuple[str, ...], source: str, *, buckets: tuple[float, ...]
) -> Metric:
    return Metric(f"claude_code_{name}", "histogram", text, labels, source, MICRO, buckets)


_ALL = (
    _counter("hook_events_total", "Hook events seen.", ("event",)),
    _counter("tool_usage_total", "Tool calls by their outcome.", ("tool", "outcome"), starts=False),
    _counter(
        "security_blocks_total",
        "Tool calls and prompts (tool prompt) that the guard blocked.",
        ("reason", "tool"),
        starts=False,
    ),
    _counter(
        "security_audits_total",
        "Tool calls and prompts that the guard, in audit mode, let through but would have blocked.",
        ("reason", "tool"),
        starts=False,
    ),
    _counter("prompts_total", "Prompts that users sent, without those that the guard blocked."),
    _counter("notifications_total", "Notifications shown to users.", ("type",)),
    _counter("compactions_total", "Compactions of a conversation.", ("trigger",)),
    _counter("subagents_total", "Subagents started.", ("agent_type",)),
    _histogram(
        "session_duration_seconds",
        "Duration of sessions that ended, fell silent, or were cut off by a reboot.",
        (),
        STATE,
        buckets=_SESSION,
    ),
    _gauge("active_sessions", "Sessions that are open now.", (), STATE, scope="project"),
    _histogram("tool_duration_seconds", "Time that tools ran.", ("tool",), HOOKS, buckets=_TOOL),
    _counter(
        "tool_sizes_total",
        "Inputs and outputs of finished tool calls, by the size of their text: up to so many bytes.",
        ("tool", "direction", "size"),
        starts=False,
    ),
    _histogram(
        "permission_wait_seconds",
        "Time from asking a person for permission until the tool ran or was denied.",
        ("tool",),
        HOOKS,
        buckets=_PERSON,
    ),
    _counter("sessions_total", "Sessions started, as Claude Code counts them.", ("start_type",), METRICS),
    _counter("lines_of_code_total", "Lines of code that were changed.", ("type",), METRICS),
    _counter("commits_total", "Git commits made.", (), METRICS),
    _counter("pull_requests_total", "Pull requests made.", (), METRICS),
    _counter(
        "edit_decisions_total",
        "Decisions to accept or reject an edit.",
        ("tool", "decision", "source"),
        METRICS,
        starts=False,
    ),
    _counter(
        "active_time_seconds_total",
        "Time in which a user or the client was active.",
        ("type",),
        METRICS,
        scale=NANO,
    ),
    _counter(
        "spend_usd_total",
        "Cost in US dollars, as Claude Code's metric reports it.",
        ("model", "query_source"),
        METRICS,
        scale=NANO,
    ),
    _counter(
        "tokens_total",
        "Tokens used, as Claude Code's metric reports them.",
        ("model", "query_source", "type"),
        METRICS,
    ),
    _gauge(
        "cost_usd",
        "Cost in US dollars of a live session.",
        ("session_id", "model"),
        METRICS,
        scale=NANO,
        scope="project",
    ),
    _gauge(
        "tokens_consumed",
        "Tokens used by a live session.",
        ("session_id", "model", "type"),
        METRICS,
        scope="project",
    ),
    _counter(
        "request_cost_usd_total",
        "Cost in US dollars, summed over the events of single requests.",
        ("model",),
        EVENTS_SOURCE,
        scale=NANO,
    ),
    _counter(
        "request_tokens_total",
        "Tokens used, summed over the events of single requests.",
        ("model", "type"),
        EVENTS_SOURCE,
    ),
    _counter(
        "tool_cost_usd_total",
        "Cost in US dollars of requests, shared among the tools they called; none called no tool.",
        ("tool",),
        EVENTS_SOURCE,
        scale=NANO,
        starts=False,
    ),
    _histogram(
        "response_time_seconds",
        "Time from a request to the API until its answer was complete.",
        ("model",),
        EVENTS_SOURCE,
        buckets=_API,
    ),
    _histogram(
        "time_to_first_token_seconds",
        "Time from a request to the API until its first token.",
        ("model",),
        EVENTS_SOURCE,
        buckets=_API,
    ),
    _histogram(
        "hook_duration_seconds",
        "Time that the hooks of an event took, as Claude Code measured it.",
        ("event",),
        EVENTS_SOURCE,
        buckets=_HOOK,
    ),
    _counter(
        "api_errors_total",
        "Requests to the API that failed for good.",
        ("model", "status_code"),
        EVENTS_SOURCE,
        starts=False,
    ),
    _counter(
        "api_retries_exhausted_total",
        "Requests to the API that were given up after the last retry; each is an API error, too.",
        ("model", "status_code"),
        EVENTS_SOURCE,
        starts=False,
    ),
    _gauge(
        "reconciliation_difference_ratio",
        "Metric minus events, as a share of the larger: 0 when both sources agree.",
        ("quantity",),
        STATE,
    ),
    _counter("canary_events_total", "Synthetic events, counted nowhere else.", (), HOOKS, scope="host"),
    _gauge(
        "canary_latency_seconds",
        "Time from the writing of the latest synthetic event until it was counted.",
        (),
        HOOKS,
        scale=MICRO,
    ),
    _gauge(
        "canary_timestamp_seconds", "When the latest synthetic event was written.", (), HOOKS, scale=MICRO
    ),
    _gauge(
        "guard_effective",
        "1 if the guard, tested on this host, blocked the forbidden calls and passed the allowed one.",
    ),
    _gauge(
        "certificate_expiry_timestamp_seconds", "When the host's certificate or CA ends.", ("certificate",)
    ),
    _gauge("bundle_info", "Version and hash of the installed hooks.", ("version", "hash")),
    _counter(
        "exporter_rejected_total", "Input that was refused, by reason.", ("reason",), STATE, scope="host"
    ),
    _gauge("exporter_journal_lag_seconds", "Age of the oldest journal line not yet consumed."),
    _gauge("exporter_ledger_bytes", "Size of the ledger on disk."),
    _gauge("exporter_last_push_timestamp_seconds", "When the Pushgateway last took the whole group."),
    _counter("exporter_push_failures_total", "Pushes that failed.", (), EXPORTER, scope="host", starts=False),
    _gauge("exporter_build_info", "Version of the exporter and of Python.", ("version", "python")),
)
CONTRACT: dict[str, Metric] = {metric.name: metric for metric in _ALL}

RESERVED = frozenset(
    {"user", "project", "instance", "job", "le", "quantile"} | {x for m in _ALL for x in m.labels}
)
"""Names that a constant label must not have."""

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,63}\Z")
_ALIASES = {"Task": "Agent", "mcp_tool": "mcp"}
_TOOL_SET = frozenset(TOOLS)


def fold(value: object, allowed: tuple[str, ...]) -> str:
    """Return `value` if it is one of `allowed`, else ``other``."""
    return value if isinstance(value, str) and value in allowed else OTHER


def fold_tool(name: object) -> str:
    """Return the tool's name in the closed list; every tool of an MCP server is ``mcp``."""
    if not isinstance(name, str):
        return OTHER
    if name in _TOOL_SET:
        return name
    return "mcp" if name.startswith("mcp__") else _ALIASES.get(name, OTHER)


def fold_model(name: object) -> str:
    """Return a model's name if it looks like one; the ledger also caps how many there are.

    Without the size of the context window in brackets, which Claude Code's metrics have and its events lack.
    """
    if not isinstance(name, str) or not _MODEL.match(name):
        return OTHER
    return name.partition("[")[0]


def fold_name(name: str) -> str:
    """Return a user's or project's name if it is fit to be a label, ``unknown`` if empty, else ``other``."""
    if not name:
        return UNKNOWN
    fit = len(name) <= 64 and name.isprintable() and '"' not in name and "\\" not in name
    return name if fit else OTHER


def fold_status(code: object) -> str:
    """Return an HTTP status from the closed list, ``none`` where no answer came."""
    if code is None or code == "" or code == "undefined":
        return NONE
    return fold(str(code) if isinstance(code, int) else code, STATUS_CODES)


def table() -> str:
    """Return the reference of all metrics as a Markdown table."""
    rows = ["| metric | type | labels | what | source |", "| --- | --- | --- | --- | --- |"]
    for metric in _ALL:
        labels = (*(("user", "project") if metric.scope == "project" else ()), *metric.labels)
        rows.append(
            f"| `{metric.name}` | {metric.type} | {', '.join(labels)} | {metric.help} | {metric.source} |"
        )
    return "\n".join(rows) + "\n"


def overview() -> str:
    """Return name, labels and meaning of all metrics as a Markdown table."""
    rows = ["| metric | labels | what |", "| --- | --- | --- |"]
    for metric in _ALL:
        labels = (*(("user", "project") if metric.scope == "project" else ()), *metric.labels)
        rows.append(f"| `{metric.name}` | {', '.join(labels)} | {metric.help} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(overview() if "--overview" in sys.argv else table(), end="")
