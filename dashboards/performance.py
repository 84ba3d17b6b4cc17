"""Performance: where the time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.board import board
from dashboards.panels import RED, YELLOW, Query, lines, number, ranking, spectrum
from dashboards.promql import MODEL, PERSON, added, hourly, or_zero, quantile, top

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Dashboard

    from dashboards.panels import Panel


def _spent(histogram: str) -> str:
    return f"sum(increase(claude_code_{histogram}_sum{{{PERSON}}}[$__range]))"


_REQUESTS = f"sum(increase(claude_code_response_time_seconds_count{{{MODEL}}}[$__range]))"
_ERRORS = added("api_errors", where=MODEL)


def _in_the_chosen_time() -> list[Panel]:
    return [
        number(
            "Response time, half",
            "Half of the requests were answered within this time.",
            unit="s",
            decimals=1,
            query=f"histogram_quantile(0.5, sum by (le) "
            f"(increase(claude_code_response_time_seconds_bucket{{{MODEL}}}[$__range])))",
            empty="no request yet",
        ),
        number(
            "Response time, 95 of 100",
            "95 of 100 requests were answered within this time.",
            unit="s",
            decimals=1,
            query=f"histogram_quantile(0.95, sum by (le) "
            f"(increase(claude_code_response_time_seconds_bucket{{{MODEL}}}[$__range])))",
            steps=[(30, YELLOW), (60, RED)],
            empty="no request yet",
        ),
        number(
            "First token, half",
            "Half of the requests showed their first token within this time.",
            unit="s",
            decimals=1,
            query=f"histogram_quantile(0.5, sum by (le) "
            f"(increase(claude_code_time_to_first_token_seconds_bucket{{{MODEL}}}[$__range])))",
            empty="no request yet",
        ),
        number(
            "Requests",
            "Requests that were answered.",
            unit="none",
            query=or_zero(_REQUESTS),
            empty="no request yet",
        ),
        number(
            "Requests failed",
            "Of all requests, the part that failed for good.",
            unit="percentunit",
            decimals=1,
            query=f"({or_zero(_ERRORS)}) / (({or_zero(_ERRORS)}) + {_REQUESTS} > 0)",
            steps=[(0.02, YELLOW), (0.1, RED)],
            empty="no request yet",
        ),
        number(
            "Retries exhausted",
            "Requests given up after the last retry: somebody's work stopped there.",
            unit="none",
            query=or_zero(added("api_retries_exhausted", where=MODEL)),
            steps=[(1, RED)],
        ),
    ]


def _where_the_time_goes() -> list[Panel]:
    return [
        ranking(
            "Time by cause",
            "Seconds in the chosen time that went into waiting for the model, for tools, for "
            "people's permission, and for hooks. "
            "The longest bar is the bottleneck.",
            unit="s",
            decimals=0,
            queries=[
                Query(_spent("response_time_seconds"), "model"),
                Query(_spent("tool_duration_seconds"), "tools"),
                Query(_spent("permission_wait_seconds"), "people"),
                Query(_spent("hook_duration_seconds"), "hooks"),
            ],
        ),
        ranking(
            "People waited for, by tool",
            "Seconds that Claude Code waited for a person's permission in the chosen time, the 15 largest. "
            "A permission rule for a harmless tool saves that time.",
            unit="s",
            decimals=0,
            queries=[
                Query(
                    top(
                        15,
                        f"sum by (tool) "
                        f"(increase(claude_code_permission_wait_seconds_sum{{{PERSON}}}[$__range]))",
                    ),
                    "{{tool}}",
                )
            ],
            empty="nobody was waited for",
        ),
        ranking(
            "Slowest tools",
            "95 of 100 calls of a tool ran no longer than this, in the chosen time. The 15 slowest.",
            unit="s",
            queries=[
                Query(
                    top(
                        15,
                        quantile(
                            0.95,
                            "tool_duration_seconds",
                            by="tool",
                            where=PERSON,
                            window="$__range",
                        )
                        + " >= 0",
                    ),
                    "{{tool}}",
                )
            ],
        ),
    ]


def _the_model() -> list[Panel]:
    return [
        lines(
            "Response time by model",
            "Half of the requests were faster than the lower line of a model, 95 of 100 faster "
            "than the upper.",
            unit="s",
            queries=[
                Query(
                    quantile(0.5, "response_time_seconds", by="model", where=MODEL),
                    "{{model}}, half",
                ),
                Query(
                    quantile(0.95, "response_time_seconds", by="model", where=MODEL),
                    "{{model}}, 95 of 100",
                ),
            ],
        ),
        lines(
            "Time to first token by model",
            "Half of the requests showed their first token sooner than the lower line, 95 of "
            "100 sooner than the upper.",
            unit="s",
            queries=[
                Query(
                    quantile(0.5, "time_to_first_token_seconds", by="model", where=MODEL),
                    "{{model}}, half",
                ),
                Query(
                    quantile(0.95, "time_to_first_token_seconds", by="model", where=MODEL),
                    "{{model}}, 95 of 100",
                ),
            ],
        ),
        spectrum(
            "Response times",
            "How many requests took how long: a second band above the first is a second kind of slowness.",
            unit="s",
            query=f"sum by (le) "
            f"(increase(claude_code_response_time_seconds_bucket{{{MODEL}}}[$__rate_interval]))",
        ),
        lines(
            "Failed requests per hour by status",
            "Requests that failed for good, by the API's status, in the hour before each point.",
            unit="none",
            queries=[
                Query(hourly("api_errors", by="status_code", where=MODEL), "{{status_code}}"),
                Query(hourly("api_retries_exhausted", where=MODEL), "given up after all retries"),
            ],
            empty="none failed",
        ),
    ]


def _tools_and_hooks() -> list[Panel]:
    return [
        lines(
            "Tool time by tool",
            "95 of 100 calls ran no longer than this.",
            unit="s",
            queries=[Query(quantile(0.95, "tool_duration_seconds", by="tool", where=PERSON), "{{tool}}")],
        ),
        lines(
            "Hook delay by event",
            "95 of 100 runs of an event's hooks delayed Claude Code no longer than this, as it "
            "measured itself.",
            unit="s",
            queries=[Query(quantile(0.95, "hook_duration_seconds", by="event", where=PERSON), "{{event}}")],
            steps=[(0.25, RED)],
        ),
    ]


def build() -> Dashboard:
    """Return the dashboard."""
    return board(
        uid="claude-code-performance",
        title="Performance",
        description="Where are the bottlenecks: the model, the tools, the hooks, or people who "
        "are waited for?",
        rows=[
            ("In the chosen time", _in_the_chosen_time()),
            ("Where the time goes", _where_the_time_goes()),
            ("The model", _the_model()),
            ("Tools and hooks", _tools_and_hooks()),
        ],
    )
