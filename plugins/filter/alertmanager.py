"""Alertmanager's configuration as data, from the inventory's short form of receivers and routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NOBODY = "nobody"


def alertmanager_secrets(receivers: Sequence[Mapping[str, Any]], smtp: Mapping[str, Any]) -> dict[str, str]:
    """Return file name → secret, for every secret of the receivers and of the mail server."""
    secrets = {"smtp": smtp["password"]} if smtp.get("password") else {}
    for receiver in receivers:
        for kind in ("webhook_url", "slack_url", "pagerduty_key"):
            if receiver.get(kind):
                secrets[f"{receiver['name']}.{kind}"] = receiver[kind]
    return secrets


def alertmanager_receivers(
    receivers: Sequence[Mapping[str, Any]], *, directory: str, webhook_files: bool
) -> list[dict[str, Any]]:
    """Return Alertmanager's ``receivers``; secrets are named by their files in ``directory``.

    ``webhook_files`` says whether this Alertmanager reads a webhook's address from a file (0.26 on).
    The first receiver is ``nobody``, which is told nothing.
    """
    result: list[dict[str, Any]] = [{"name": NOBODY}]
    for receiver in receivers:
        name = receiver["name"]
        entry: dict[str, Any] = {"name": name, **(receiver.get("config") or {})}
        if url := receiver.get("webhook_url"):
            file = f"{directory}/{name}.webhook_url"
            where = {"url_file": file} if webhook_files else {"url": url}
            entry["webhook_configs"] = [{**where, "send_resolved": True}]
        if to := receiver.get("email_to"):
            entry["email_configs"] = [{"to": to, "send_resolved": True}]
        if receiver.get("slack_url"):
            slack = {"api_url_file": f"{directory}/{name}.slack_url", "send_resolved": True}
            if channel := receiver.get("slack_channel"):
                slack["channel"] = channel
            entry["slack_configs"] = [slack]
        if receiver.get("pagerduty_key"):
            entry["pagerduty_configs"] = [
                {"routing_key_file": f"{directory}/{name}.pagerduty_key", "send_resolved": True}
            ]
        result.append(entry)
    return result


def alertmanager_global(smtp: Mapping[str, Any], *, directory: str) -> dict[str, Any]:
    """Return Alertmanager's ``global`` part: the mail server, or nothing."""
    if not smtp:
        return {}
    part: dict[str, Any] = {"smtp_smarthost": smtp["smarthost"], "smtp_from": smtp["from"]}
    part["smtp_require_tls"] = smtp.get("require_tls", True)
    if smtp.get("username"):
        part["smtp_auth_username"] = smtp["username"]
    if smtp.get("password"):
        part["smtp_auth_password_file"] = f"{directory}/smtp"
    return part


def alertmanager_route(
    default: str,
    *,
    severities: Mapping[str, str],
    teams: Mapping[str, str],
    extra: Sequence[Mapping[str, Any]],
    timing: Mapping[str, str],
) -> dict[str, Any]:
    """Return the tree of routes.

    Routes of your own come first; then an alert reaches the receiver of its severity *and* that of its team,
    and where neither is named the default one, or nobody.
    """
    routes: list[dict[str, Any]] = [dict(route) for route in extra]
    routes += [
        {"matchers": [f'severity="{severity}"'], "receiver": receiver, "continue": True}
        for severity, receiver in severities.items()
    ]
    routes += [{"matchers": [f'team="{team}"'], "receiver": receiver} for team, receiver in teams.items()]
    root = {"receiver": default or NOBODY, "group_by": ["alertname", "team"], **timing}
    return {**root, "routes": routes} if routes else root


def unknown_receivers(route: Mapping[str, Any], receivers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the receivers that a tree of routes names and the list does not know."""
    known = {str(receiver["name"]) for receiver in receivers}
    named = {str(route["receiver"])} if "receiver" in route else set()
    children = route.get("routes") or []
    below = {name for child in children for name in unknown_receivers(child, receivers)}
    return sorted((named - known) | below)


class FilterModule:
    """The filters of this file, by the names that templates use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return name → function."""
        return {
            "alertmanager_global": alertmanager_global,
            "alertmanager_receivers": alertmanager_receivers,
            "alertmanager_route": alertmanager_route,
            "alertmanager_secrets": alertmanager_secrets,
            "unknown_receivers": unknown_receivers,
        }
