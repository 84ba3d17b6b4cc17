"""The checks, as data: what each looks at, what its failure means, and what to do then."""

from __future__ import annotations

import sys
from dataclasses import dataclass

PUSHING = (
    "pushgateway-found",
    "pushgateway-answers",
    "pushgateway-trusted",
    "pushgateway-unexpired",
    "pushgateway-credentials",
)
AGAIN = "Deploy to this host again"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: `cause` and `remedy` are whole sentences, `after` are checks whose failure explains it."""

    name: str
    looks_at: str
    cause: str
    remedy: str
    after: tuple[str, ...] = ()


def _service(name: str, title: str, log: str) -> tuple[Check, ...]:
    return (
        Check(
            f"{name}-found",
            f"the address of {title}",
            f"The name of {title} leads nowhere.",
            "Mend its name in the inventory, or the DNS of this host.",
        ),
        Check(
            f"{name}-answers",
            f"an answer of {title}",
            f"{title[0].upper()}{title[1:]} does not answer, or answers with an error.",
            f"On the monitoring host: systemctl status {log}; then look for firewalls. Numbers wait.",
        ),
        Check(
            f"{name}-trusted",
            f"the certificate of {title}",
            f"The certificate of {title} names another host, or this host does not trust its authority.",
            "Deploy to the monitoring host and to this one, so that both have the same authority.",
        ),
        Check(
            f"{name}-unexpired",
            f"the dates of the certificate of {title}",
            f"The certificate of {title} has expired or is not valid yet.",
            "Deploy to the monitoring host, which renews it; if that was done, look at both clocks.",
        ),
        Check(
            f"{name}-credentials",
            f"whether {title} knows this host's user and password",
            f"{title[0].upper()}{title[1:]} refuses the user or the password.",
            "Deploy to the monitoring host and to this one, so that both have the same password.",
        ),
    )


CHECKS: tuple[Check, ...] = (
    Check(
        "client",
        "Claude Code, in the usual places",
        "The client does not run.",
        "Install Claude Code again.",
    ),
    Check(
        "client-version",
        "the client's version",
        "The client is so old that it lets tools run when its guard cannot.",
        "Update it: claude update.",
        ("client",),
    ),
    Check(
        "settings-readable",
        "every file of managed settings",
        "A file of managed settings cannot be read, so the client ignores it or all of them.",
        "Mend or remove that file.",
    ),
    Check(
        "managed-source",
        "which managed settings win",
        "The organisation's server or the device's management wins: hooks and telemetry of ours are off.",
        'Put ours into those settings too, or have them say "managedSourcesBehavior": "merge".',
    ),
    Check(
        "hooks-disabled",
        "disableAllHooks in managed settings",
        "Managed settings disable all hooks, so nothing is guarded or counted.",
        "Take disableAllHooks out of that file.",
    ),
    Check(
        "hooks-disabled-by-user",
        "disableAllHooks in the settings of users, and of the projects of telemetry-projects",
        "A user or a project has disabled hooks; managed ones run all the same.",
        "Nothing, unless the hooks are installed in the user's own settings.",
    ),
    Check(
        "managed-hooks-only",
        "allowManagedHooksOnly",
        "Only managed hooks run; ours are.",
        "Nothing, unless the hooks are installed in users' or projects' own settings.",
    ),
    Check(
        "telemetry-registered",
        "whether managed settings switch telemetry on",
        "Claude Code sends no telemetry, so there are no costs.",
        f"{AGAIN}.",
        ("settings-readable",),
    ),
    Check(
        "telemetry-endpoint",
        "where telemetry is sent to, in general and for each signal",
        "Managed settings send telemetry elsewhere than to this host's exporter.",
        "Take the variable out of that file; if it is ours, deploy to this host again.",
    ),
    Check(
        "telemetry-content",
        "the switches that send content",
        "Managed settings send what people write or what tools read.",
        "Take the variable out of that file, or say in the inventory that you want it.",
    ),
    Check(
        "telemetry-environment",
        "every other variable of telemetry",
        "Managed settings give telemetry another environment than the inventory.",
        "Take the variable out of that file; if it is ours, deploy to this host again.",
    ),
    Check(
        "telemetry-users",
        "variables of telemetry in users' own settings",
        "A user's settings change telemetry where managed settings leave it open.",
        "Take the variable out of that user's settings, or set it by claude_telemetry_extra_environment.",
        ("telemetry-registered",),
    ),
    Check(
        "telemetry-projects",
        "variables of telemetry in projects that hooks are merged into, or that the doctor is called in",
        "A project's settings set telemetry, which Claude Code ignores there.",
        "Take the variable out: clients before 2.1.282 follow it where managed settings leave it open.",
    ),
    Check(
        "interpreter",
        "the interpreter that the hooks name",
        "The hooks' interpreter does not run, so the client blocks every tool.",
        "Install python3, or set claude_hooks_python.",
    ),
    Check(
        "code",
        "every file of the hooks' and the exporter's code, by its hash",
        "Code is not what was deployed.",
        "Find out who changed it, then deploy to this host again.",
    ),
    Check(
        "configuration",
        "every file of settings, policy and configuration, by its hash",
        "Configuration is not what was deployed.",
        "Find out who changed it, then deploy to this host again.",
        (
            "settings-readable",
            "hooks-disabled",
            "telemetry-registered",
            "telemetry-endpoint",
            "telemetry-content",
            "telemetry-environment",
            "hooks-registered",
            "exporter-config",
        ),
    ),
    Check(
        "shfmt",
        "the parser that the guard reads commands with",
        "Without shfmt the guard misses disguised commands.",
        "apt-get install shfmt.",
    ),
    Check(
        "hooks-registered",
        "the guard's registration",
        "The settings that should do not register the guard for every tool call.",
        f"{AGAIN}.",
        ("settings-readable",),
    ),
    Check(
        "guard-effective",
        "the guard's answers to forbidden calls and an ordinary one",
        "The guard does not stop what it must, or stops what it must not.",
        "Mend what is named; on an unguarded host nobody should work with Claude Code.",
        (
            "interpreter",
            "settings-readable",
            "hooks-disabled",
            "code",
            "shfmt",
            "hooks-registered",
            "configuration",
        ),
    ),
    Check(
        "journal-directory",
        "owner and mode of the journals' directory",
        "Users cannot append to journals of their own, or could spoil others'.",
        f"{AGAIN}.",
    ),
    Check(
        "journal-files",
        "owner and mode of each journal",
        "A journal is not of the user whose name it has, or cannot be written or read.",
        "Remove that file; the next event begins a new one.",
        ("journal-directory",),
    ),
    Check(
        "journal-append",
        "a synthetic event, appended as a developer's hooks do",
        "Hooks cannot append to the journal, so nothing is counted.",
        "Mend what is named.",
        ("interpreter", "code", "configuration", "journal-directory", "journal-files", "disk"),
    ),
    Check(
        "disk",
        "free space of journals and ledger",
        "There is too little room for journals and ledger.",
        "Make room on that file system.",
    ),
    Check(
        "ledger",
        "the ledger's integrity",
        "The ledger is damaged or missing.",
        "Restart the exporter: it sets a damaged ledger aside and begins a new one, with totals from 0.",
        ("disk",),
    ),
    Check(
        "exporter-config",
        "the exporter's configuration",
        "The exporter could not start with its configuration.",
        f"{AGAIN}.",
    ),
    Check(
        "exporter-running",
        "the exporter's process",
        "The exporter does not run; journals wait, but telemetry is lost.",
        "systemctl restart claude-code-exporter, and look into its log.",
        ("exporter-config", "port-metrics", "port-otlp"),
    ),
    Check(
        "port-metrics",
        "who has the port of the exporter's pages",
        "The port of the exporter's pages is not the exporter's.",
        "Stop what holds it, or set claude_exporter_listen.",
        ("exporter-config", "port-otlp"),
    ),
    Check(
        "port-otlp",
        "who has the port of OTLP",
        "The port on which Claude Code sends telemetry is not the exporter's.",
        "Stop what holds it, or set claude_exporter_otlp_listen and claude_telemetry_exporter_endpoint.",
        ("exporter-config",),
    ),
    Check(
        "exporter-ready",
        "the exporter's /-/ready",
        "The exporter is not ready.",
        "Look into its log: journalctl -u claude-code-exporter.",
        ("exporter-config", "exporter-running", "port-metrics", "disk", "ledger"),
    ),
    Check(
        "otlp-accepted",
        "an empty export, sent as Claude Code does",
        "The exporter does not take telemetry.",
        "Look into its log: journalctl -u claude-code-exporter.",
        ("exporter-config", "exporter-running", "port-otlp", "exporter-ready"),
    ),
    Check(
        "journal-backlog",
        "how far the exporter is behind the journals",
        "The exporter does not keep up with the journals.",
        "Look into its log; a full disk and a stopped process are the usual reasons.",
        ("exporter-running", "exporter-ready", "ledger", "disk"),
    ),
    Check(
        "push-arrives",
        "the age of the last push",
        "The exporter's totals do not arrive at the Pushgateway.",
        "Look into its log, which names the reason: journalctl -u claude-code-exporter.",
        (
            "exporter-running",
            "exporter-ready",
            *PUSHING,
        ),
    ),
    Check(
        "agent-ready",
        "the agent, where numbers go by remote_write",
        "The agent does not answer; the ledger keeps the numbers, but their course over time is lost.",
        "systemctl restart claude-code-agent, and look into its log.",
    ),
    Check(
        "agent-sends",
        "the age of what the agent sent last",
        "What the agent reads does not reach Prometheus; it waits on this host's disk.",
        "Look into its log, which names the reason: journalctl -u claude-code-agent.",
        ("agent-ready", "exporter-running", "exporter-ready"),
    ),
    *_service("pushgateway", "the Pushgateway", "prometheus-pushgateway"),
    *_service("prometheus", "Prometheus", "prometheus"),
    Check(
        "prometheus-target",
        "whether Prometheus scrapes what this host brings",
        "Prometheus does not scrape it.",
        "Deploy to the monitoring host.",
        (*PUSHING, "exporter-running", "port-metrics"),
    ),
    Check(
        "canary-visible",
        "the synthetic event, in Prometheus",
        "A number of this host does not reach Prometheus.",
        "Look along its way: journal, exporter, push, target.",
        (
            "journal-append",
            "exporter-running",
            "exporter-ready",
            "push-arrives",
            "agent-ready",
            "agent-sends",
            *PUSHING,
            "prometheus-target",
            "ledger",
        ),
    ),
    Check(
        "clock",
        "this host's clock beside the services'",
        "This host's clock differs from the monitoring host's, so its numbers stand at the wrong time.",
        "Set the clock: timedatectl set-ntp true.",
    ),
    Check(
        "clock-future",
        "events that were written in the future",
        "This host's clock has been ahead.",
        "Nothing if the clock is right now; a new synthetic event mends it.",
        ("clock",),
    ),
)
BY_NAME = {check.name: check for check in CHECKS}


def table() -> str:
    """Return the checks as the table of docs/doctor.md."""
    head = "| check | looks at | cause | remedy |\n| --- | --- | --- | --- |\n"
    rows = [f"| `{each.name}` | {each.looks_at} | {each.cause} | {each.remedy} |\n" for each in CHECKS]
    return head + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(table())
