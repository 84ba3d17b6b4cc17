"""Prometheus' configuration as data: flags, security of clients and servers, targets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FLAG = re.compile(r"[a-z][A-Za-z0-9.\-]*")
# /etc/default is read by systemd without a shell and by init scripts with one: nothing special to either.
VALUE = re.compile(r"[^\s\"'\\$`]*")
EXPORTER_PORT = 9468
JOB = "claude_code"
# What Prometheus, its rules and the inventory say is nobody's to push.
NEVER_PUSHED = (
    "up|ALERTS|ALERTS_FOR_STATE|claude_code:.+|claude_code_inventory_info|claude_code_team_budget_usd"
)
COUNTS = "__tmp_counts"


def arguments(flags: Mapping[str, Any]) -> list[str]:
    """Return flags as arguments, in the order given.

    A text or number is the flag's value, a list repeats the flag, true is the bare flag and false its ``no-``
    form; null leaves the flag out. Raises ValueError for what ``/etc/default`` can't carry.
    """
    found: list[str] = []
    for name, value in flags.items():
        if not FLAG.fullmatch(name):
            msg = f"{name!r} is not a flag: write its name without the leading dashes."
            raise ValueError(msg)
        for one in value if isinstance(value, list) else [value]:
            if one is None:
                continue
            if isinstance(one, bool):
                found.append(f"--{name}" if one else f"--no-{name}")
            elif VALUE.fullmatch(str(one)):
                found.append(f"--{name}={one}")
            else:
                msg = (
                    f"The value of the flag {name} must have no blank, quote, backslash, dollar or backtick."
                )
                raise ValueError(msg)
    return found


def command_line(flags: Mapping[str, Any]) -> str:
    """Return ``arguments`` as one line."""
    return " ".join(arguments(flags))


def flags_fault(flags: Mapping[str, Any]) -> str:
    """Return one sentence about the first flag that ``command_line`` refuses, or an empty text."""
    try:
        command_line(flags)
    except ValueError as error:
        return str(error)
    return ""


def is_secured(web_config: Mapping[str, Any]) -> bool:
    """Say whether a web configuration lets nobody in without encryption and authentication."""
    tls = web_config.get("tls_server_config") or {}
    by_certificate = tls.get("client_auth_type") == "RequireAndVerifyClientCert"
    return bool(tls) and (bool(web_config.get("basic_auth_users")) or by_certificate)


def service_security(service: str, enabled: bool, *, directory: str) -> dict[str, Any]:  # noqa: FBT001 # by map()
    """Return the part of a scrape configuration by which Prometheus trusts and is known to ``service``."""
    if not enabled:
        return {}
    return {
        "scheme": "https",
        "tls_config": {"ca_file": f"{directory}/ca.crt"},
        "basic_auth": {"username": service, "password_file": f"{directory}/{service}.password"},
    }


def scrape_targets(
    hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]], *, here: str
) -> list[dict[str, list[str] | dict[str, str]]]:
    """Return file_sd entries for the hosts whose exporter is scraped, reachable now or not.

    ``here`` is Prometheus' own host, whose exporter it finds on loopback.
    """
    targets: list[dict[str, list[str] | dict[str, str]]] = []
    for host in sorted(hosts):
        variables = hostvars[host]
        if variables.get("claude_exporter_transport") != "scrape":
            continue
        _, _, port = str(variables.get("claude_exporter_listen") or f":{EXPORTER_PORT}").rpartition(":")
        address = "localhost" if host == here else str(variables.get("ansible_host") or host)
        address = f"[{address}]" if ":" in address else address
        labels = {"instance": str(variables.get("claude_exporter_instance") or host)}
        targets.append({"targets": [f"{address}:{port}"], "labels": labels})
    return targets


def pushed_relabeling(
    hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, str | list[str]]]:
    """Return rules for what comes out of the Pushgateway, whose one password lets a host push any group.

    Numbers of the exporters count in their job alone, and never for a host that brings its own another way.
    """
    elsewhere = [host for host in sorted(hosts) if not _pushes(hostvars[host])]
    names = "|".join(
        re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", name) for name in exporter_instances(elsewhere, hostvars)
    )
    rules: list[dict[str, str | list[str]]] = [
        {"source_labels": ["__name__"], "regex": NEVER_PUSHED, "action": "drop"},
        {"target_label": COUNTS, "replacement": ""},
        {
            "source_labels": ["__name__", "job"],
            "regex": f"claude_code_.+;{JOB}",
            "target_label": COUNTS,
            "replacement": "yes",
        },
        {"source_labels": ["__name__", COUNTS], "regex": "claude_code_.+;", "action": "drop"},
        {"regex": COUNTS, "action": "labeldrop"},
    ]
    if names:
        pushed = f"claude_code_.+;({names})"
        rules.append({"source_labels": ["__name__", "instance"], "regex": pushed, "action": "drop"})
    return rules


def _pushes(variables: Mapping[str, Any]) -> bool:
    return str(variables.get("claude_exporter_transport") or "pushgateway") == "pushgateway"


def any_transport(hosts: Sequence[str], transport: str, hostvars: Mapping[str, Mapping[str, Any]]) -> bool:
    """Say whether the exporter of any of the hosts brings its numbers by ``transport``."""
    return any(hostvars[host].get("claude_exporter_transport") == transport for host in hosts)


def file_text(path: str) -> str:
    """Return the text of a file on the controller; Ansible's own lookup would strip and cache it."""
    return Path(path).read_text(encoding="utf-8")


def exporter_instances(hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the ``instance`` under which each host's exporter brings its numbers."""
    return [str(hostvars[host].get("claude_exporter_instance") or host) for host in sorted(hosts)]


def merge_rules(
    files: Sequence[str], *, budgets: Sequence[Mapping[str, Any]], instances: Sequence[str] = ()
) -> str:
    """Return one rule file with the groups of all ``files`` (their texts), budgets and inventory as series.

    One file is one thing to send to a host and to check, and a rule that is no more leaves nothing behind.
    ``instances`` are those whose numbers are expected.
    """
    groups = [group for text in files for group in (yaml.safe_load(text) or {}).get("groups") or []]
    rules = [
        {
            "record": "claude_code_team_budget_usd",
            "expr": f"vector({float(budget[period]):g})",
            "labels": {"team": str(budget["team"]), "period": period},
        }
        for budget in budgets
        for period in ("day", "month")
        if budget.get(period) is not None
    ]
    if rules:
        groups.insert(0, {"name": "claude_code_budgets", "rules": rules})
    known = [
        {"record": "claude_code_inventory_info", "expr": "vector(1)", "labels": {"instance": str(instance)}}
        for instance in instances
    ]
    if known:
        groups.insert(0, {"name": "claude_code_inventory", "rules": known})
    text: str = yaml.safe_dump({"groups": groups}, sort_keys=False, width=120, allow_unicode=True)
    return f"# Written by Ansible from the files of rules and the budgets of the inventory.\n{text}"


class FilterModule:
    """The filters of this file, by the names that templates use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return name → function."""
        return {
            "any_transport": any_transport,
            "arguments": arguments,
            "command_line": command_line,
            "exporter_instances": exporter_instances,
            "file_text": file_text,
            "flags_fault": flags_fault,
            "is_secured": is_secured,
            "merge_rules": merge_rules,
            "pushed_relabeling": pushed_relabeling,
            "scrape_targets": scrape_targets,
            "service_security": service_security,
        }
