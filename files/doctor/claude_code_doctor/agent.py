"""The checks of the agent, which brings the numbers of a host that is offline at times to Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from claude_code_doctor.exporter import samples
from claude_code_doctor.finding import fail, ok, unseen
from claude_code_doctor.service import Door, ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from claude_code_doctor.finding import Finding
    from claude_code_doctor.site import Host

SENT = "prometheus_remote_storage_queue_highest_sent_timestamp_seconds"
STALE = 300.0
"""Seconds after which what was sent last is too old."""


def examine(host: Host) -> Iterator[Finding]:
    """Yield what was found."""
    address = host.site.agent
    if not address:
        why = f"there is none: the transport is {host.site.transport}"
        yield unseen("agent-ready", why)
        yield unseen("agent-sends", why)
        return
    door = Door(f"http://{address}")
    ready = ask(door, "/-/ready")
    yield fail("agent-ready", ready.detail) if ready.trouble else ok("agent-ready", f"{address} is ready")
    page = samples(ask(door, "/metrics").body.decode(errors="replace"))
    yield sends(page, now=time.time())


def sends(page: Mapping[str, float], *, now: float) -> Finding:
    """Judge the agent by its own metrics. now: seconds since the epoch."""
    if not page:
        return unseen("agent-sends", "the agent shows no metrics")
    sent = page.get(SENT, 0.0)
    if not sent and now - page.get("process_start_time_seconds", 0.0) < STALE:
        return unseen("agent-sends", "the agent was just started and has not sent yet")
    if not sent:
        return fail("agent-sends", "nothing was sent since the agent was started")
    if now - sent > STALE:
        return fail("agent-sends", f"what was sent last is {now - sent:.0f} s old")
    return ok("agent-sends", f"what was sent last is {max(0.0, now - sent):.0f} s old")
