"""The checks of the way: a synthetic event, appended as hooks do, must arrive; what the services say."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from claude_code_exporter.config import ConfigError
from claude_code_exporter.config import load as load_config

from claude_code_doctor.finding import either, fail, ok, unseen
from claude_code_doctor.service import Door, ask, judge, unasked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from claude_code_exporter.config import Config

    from claude_code_doctor.finding import Finding
    from claude_code_doctor.service import Answer
    from claude_code_doctor.site import Host, Site

LARGEST_SKEW = 30.0
"""Seconds that this host's clock may differ from the monitoring host's."""
PAUSE = 0.5


def examine(host: Host) -> Iterator[Finding]:
    """Yield what was found."""
    sent = time.time()
    yield append(host)
    skews: dict[str, float | None] = {}
    gateway, why = _gateway(host.site)
    if gateway:
        answer = ask(gateway, "/-/ready")
        skews["the Pushgateway"] = answer.skew
        yield from judge("pushgateway", gateway, answer)
    else:
        yield from unasked("pushgateway", why)
    door = _prometheus(host.site)
    if not door:
        why = "this host may not ask it; playbooks/verify.yml asks it from the monitoring host"
        yield from unasked("prometheus", why)
        yield unseen("prometheus-target", why)
        yield unseen("canary-visible", why)
    else:
        answer = ask(door, "/api/v1/query?query=1")
        skews["Prometheus"] = answer.skew
        yield from judge("prometheus", door, answer)
        yield from _seen(host, door, answer, sent)
    yield clock(skews)


def clock(skews: dict[str, float | None]) -> Finding:
    """Judge how far ahead of ours (s) the clocks of the services are."""
    known = {who: skew for who, skew in skews.items() if skew is not None}
    if not known:
        return unseen("clock", "no service told the time")
    wrong = [
        f"{who} is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this host"
        for who, skew in known.items()
        if abs(skew) > LARGEST_SKEW
    ]
    return either("clock", wrong, "as that of " + " and ".join(known))


def append(host: Host) -> Finding:
    """Append a synthetic event to a developer's journal, as their hooks do."""
    name, site = "journal-append", host.site
    account = _somebody(host)
    command = [site.python, "-I", "-S", f"{site.hooks_dir}/prometheus_sender.py"]
    options: dict[str, Any] = {}
    if host.root:
        options = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    try:
        done = subprocess.run(
            [*command, "--config", site.hooks_config, "--canary"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
            **options,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return fail(name, f"the hooks do not run: {error}")
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return fail(name, f"as {account.pw_name}: {said}")
    return ok(name, f"a synthetic event of {account.pw_name} was appended")


def _somebody(host: Host) -> pwd.struct_passwd:
    """Return the account to append as: who called sudo, else the first person, else whoever runs this."""
    names = [os.environ.get("SUDO_USER", ""), *sorted(set(host.homes) - {"root"})] if host.root else []
    for name in names:
        if name in host.homes:
            return pwd.getpwnam(name)
    return pwd.getpwuid(os.geteuid())


def _gateway(site: Site) -> tuple[Door | None, str]:
    if site.transport != "pushgateway":
        return None, f"nothing is pushed from here: the transport is {site.transport}"
    try:
        config: Config = load_config(Path(site.exporter_config))
    except ConfigError as error:
        return None, str(error)
    if config.pushgateway is None:
        return None, "no Pushgateway is configured"
    gateway = config.pushgateway
    return Door(gateway.url, gateway.username, gateway.password_file, gateway.ca_file), ""


def _prometheus(site: Site) -> Door | None:
    told = site.prometheus
    if not told.get("url"):
        return None
    password, ca_file = told.get("password_file", ""), told.get("ca_file", "")
    return Door(
        told["url"],
        told.get("username", ""),
        Path(password) if password else None,
        Path(ca_file) if ca_file else None,
    )


def _seen(host: Host, door: Door, first: Answer, sent: float) -> Iterator[Finding]:
    """Yield whether Prometheus scrapes what it must, and has the canary that was sent at `sent`."""
    if first.trouble:
        yield unseen("prometheus-target", "Prometheus was not to be asked")
        yield unseen("canary-visible", "Prometheus was not to be asked")
        return
    pushed = host.site.transport == "pushgateway"
    if host.site.agent:
        yield unseen("prometheus-target", "the agent sends what it would be scraped for")
        yield from _arrived(host, door, sent)
        return
    what = "the Pushgateway" if pushed else f"the exporter of {host.site.instance}"
    wanted = {"job": "pushgateway"} if pushed else {"job": "claude_code", "instance": host.site.instance}
    healths = targets(door, wanted)
    if not healths:
        yield fail("prometheus-target", f"Prometheus does not scrape {what}")
    else:
        down = [f"Prometheus does not reach {what}"] if set(healths) == {"down"} else []
        yield either("prometheus-target", down, f"Prometheus scrapes {what}")
    yield from _arrived(host, door, sent)


def _arrived(host: Host, door: Door, sent: float) -> Iterator[Finding]:
    """Yield whether Prometheus has the canary."""
    if host.quick:
        yield unseen("canary-visible", "not waited for")
        return
    instance = json.dumps(host.site.instance)
    canary = f"claude_code_canary_timestamp_seconds{{instance={instance}}} >= {sent:.3f}"
    if _until(lambda: bool(query(door, canary)), host.wait):
        yield ok("canary-visible", f"it arrived within {time.time() - sent:.0f} s")
    else:
        yield fail("canary-visible", f"Prometheus has not seen it within {host.wait:.0f} s")


def query(door: Door, expression: str) -> list[float]:
    """Return the values that Prometheus answers."""
    answer = ask(door, f"/api/v1/query?query={quote(expression)}")
    try:
        return [float(found["value"][1]) for found in json.loads(answer.body)["data"]["result"]]
    except (ValueError, LookupError, TypeError):
        return []


def targets(door: Door, labels: Mapping[str, str]) -> list[str]:
    """Return the health (up, down, unknown) of each of Prometheus' targets that carries `labels`."""
    # Not the series `up`: that of a target which was taken away stands for five minutes more.
    answer = ask(door, "/api/v1/targets?state=active")
    try:
        found = json.loads(answer.body)["data"]["activeTargets"]
        return [str(each["health"]) for each in found if labels.items() <= each["labels"].items()]
    except (ValueError, LookupError, TypeError, AttributeError):
        return []


def _until(truth: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not truth():
        if time.monotonic() > until:
            return False
        time.sleep(PAUSE)
    return True
