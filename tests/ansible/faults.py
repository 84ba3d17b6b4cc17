"""Faults of a deployed machine: how each is injected and mended, and what the doctor must say of it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import bcrypt

HOOKS = "/usr/local/lib/claude-code-observability/hooks"
ETC = "/etc/claude-code-observability"
DROP_INS = "/etc/claude-code/managed-settings.d"
TELEMETRY = f"{DROP_INS}/40-observability-telemetry.json"
REGISTERED = f"{DROP_INS}/50-observability-hooks.json"
OTHERS = f"{DROP_INS}/90-others.json"
STATE = "/var/lib/claude-code-observability"
JOURNALS, LEDGER = f"{STATE}/journal", f"{STATE}/ledger/ledger.sqlite"
ANN = "/home/ann/.claude"
GATEWAY = "/etc/default/prometheus-pushgateway"
EXPORTER = "claude-code-exporter"
PASSWORD = bcrypt.hashpw(b"somebody else's", bcrypt.gensalt(4)).decode()
ANSWERS = """
import sys, time, urllib.request
until = time.monotonic() + 40
while True:
    try:
        urllib.request.urlopen(sys.argv[1], timeout=5).read()
        break
    except OSError:
        if time.monotonic() > until:
            raise
        time.sleep(0.1)
"""
# The pages that hold the tables, not SQLite's own header: a damage that is met only when it is read.
SPOIL = """
import sys
with open(sys.argv[1], "r+b") as ledger:
    ledger.seek(0, 2)
    size = ledger.tell()
    ledger.seek(4096)
    ledger.write(b"\\xa5" * (size - 4096))
"""
EDIT = """
import pathlib, sys
path, old, new = sys.argv[1:]
text = pathlib.Path(path).read_text()
assert old in text, (path, old)
pathlib.Path(path).write_text(text.replace(old, new))
"""


def put(path: str, values: object) -> str:
    """Return a command that writes a file of JSON, or of text."""
    text = values if isinstance(values, str) else json.dumps(values)
    return f"mkdir -p {path.rpartition('/')[0]} && printf '%s\\n' '{text}' >{path}"


def edit(path: str, old: str, new: str) -> str:
    """Return a command that replaces a text in a file and keeps the file as it was beside its directory."""
    return f"cp -p {path} /root/kept && python3 -c '{EDIT}' {path} '{old}' '{new}'"


def kept(path: str) -> str:
    """Return the command that undoes `edit`."""
    return f"cp -p /root/kept {path}"


def away(path: str) -> tuple[str, str]:
    """Return the commands that take a file away and bring it back."""
    return f"mv {path} /root/away", f"mv /root/away {path}"


def ready(port: int, path: str = "/-/ready") -> str:
    """Return a command that waits until a service answers."""
    return f"python3 -c '{ANSWERS}' http://127.0.0.1:{port}{path}"


@dataclass(frozen=True)
class Fault:
    """How a fault is injected and mended, by shell commands, and what the doctor must say.

    ``name`` is the one cause that it must name; ``says`` a text of its detail; ``more`` are failures that it
    must show as following from the cause.
    """

    name: str
    break_it: str
    mend: str
    says: str = ""
    more: frozenset[str] = frozenset()


SQUAT = "systemd-run --quiet --unit squatter python3"
UP = f"systemctl start {EXPORTER} && {ready(9468)}"
FAULTS: dict[str, Fault] = {
    "the guard's file is deleted": Fault(
        "code",
        *away(f"{HOOKS}/pre_tool_use.py"),
        "pre_tool_use.py is missing",
        frozenset({"guard-effective"}),
    ),
    "the guard lets everything pass": Fault(
        "code",
        f"cp -p {HOOKS}/pre_tool_use.py /root/kept && echo pass >{HOOKS}/pre_tool_use.py",
        kept(f"{HOOKS}/pre_tool_use.py"),
        "pre_tool_use.py is not as deployed",
        frozenset({"guard-effective"}),
    ),
    "a module of the hooks is another version": Fault(
        "code",
        f"cp -p {HOOKS}/utils/voice.py /root/kept && echo '# newer' >>{HOOKS}/utils/voice.py",
        kept(f"{HOOKS}/utils/voice.py"),
        "voice.py is not as deployed",
    ),
    "a file was put among the hooks": Fault(
        "code", f"touch {HOOKS}/utils/json.py", f"rm {HOOKS}/utils/json.py", "json.py was not deployed"
    ),
    "the policy only watches": Fault(
        "configuration",
        edit(f"{ETC}/policy.json", '"scoped"', '"audit"'),
        kept(f"{ETC}/policy.json"),
        "policy.json is not as deployed",
        frozenset({"guard-effective"}),
    ),
    "managed settings disable all hooks": Fault(
        "hooks-disabled",
        put("/etc/claude-code/managed-settings.json", {"disableAllHooks": True}),
        "rm /etc/claude-code/managed-settings.json",
        "/etc/claude-code/managed-settings.json: disableAllHooks is set",
        frozenset({"guard-effective"}),
    ),
    "a drop-in of managed settings is broken": Fault(
        "settings-readable", put(OTHERS, "{"), f"rm {OTHERS}", "90-others.json: it is not JSON"
    ),
    "the organisation's server sent settings": Fault(
        "managed-source",
        put(f"{ANN}/remote-settings.json", {"model": "opus"}),
        f"rm {ANN}/remote-settings.json",
        "server-managed settings win for ann",
    ),
    "the guard is not registered": Fault(
        "hooks-registered", *away(REGISTERED), "50-observability-hooks.json", frozenset({"guard-effective"})
    ),
    "the guard is registered for one tool": Fault(
        "hooks-registered",
        edit(REGISTERED, '"matcher": "*"', '"matcher": "Read"'),
        kept(REGISTERED),
        "does not register",
    ),
    "telemetry is not switched on": Fault(
        "telemetry-registered", *away(TELEMETRY), "no managed settings hold it", frozenset({"configuration"})
    ),
    "telemetry goes elsewhere": Fault(
        "telemetry-endpoint",
        edit(TELEMETRY, '"http://127.0.0.1:4318"', '"http://127.0.0.1:4999"'),
        kept(TELEMETRY),
        "OTEL_EXPORTER_OTLP_ENDPOINT to 'http://127.0.0.1:4999'",
    ),
    "one signal goes elsewhere": Fault(
        "telemetry-endpoint",
        put(OTHERS, {"env": {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://other:4318/v1/logs"}}),
        f"rm {OTHERS}",
        "90-others.json sets OTEL_EXPORTER_OTLP_LOGS_ENDPOINT to 'http://other:4318/v1/logs'",
    ),
    "prompts are sent": Fault(
        "telemetry-content",
        put(OTHERS, {"env": {"OTEL_LOG_USER_PROMPTS": "1"}}),
        f"rm {OTHERS}",
        "90-others.json sets OTEL_LOG_USER_PROMPTS to '1'",
    ),
    "a variable is another": Fault(
        "telemetry-environment",
        put(OTHERS, {"env": {"OTEL_METRICS_INCLUDE_SESSION_ID": "false"}}),
        f"rm {OTHERS}",
        "OTEL_METRICS_INCLUDE_SESSION_ID to 'false' instead of 'true'",
    ),
    "a user sends traces elsewhere": Fault(
        "telemetry-users",
        put(f"{ANN}/settings.json", {"env": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://other:4318"}}),
        f"rm {ANN}/settings.json",
        "/home/ann/.claude/settings.json sets OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ),
    "shfmt is gone": Fault("shfmt", *away("/usr/bin/shfmt"), "/usr/bin/shfmt"),
    "Python is gone": Fault("interpreter", *away("/usr/bin/python3"), "/usr/bin/python3 does not run"),
    "a client is too old": Fault(
        "client-version",
        put("/home/ann/.local/bin/claude", "#!/bin/sh\necho 2.1.94 stand-in")
        + " && chmod 755 /home/ann/.local/bin/claude",
        "rm /home/ann/.local/bin/claude",
        "/home/ann/.local/bin/claude is 2.1.94 and should be 2.1.295 or later",
    ),
    "users may not append journals": Fault(
        "journal-directory",
        f"chmod 0755 {JOURNALS}",
        f"chmod 3773 {JOURNALS}",
        "has mode 2755 instead of 3773",
    ),
    "the journals are somebody else's": Fault(
        "journal-directory",
        f"chown root {JOURNALS} && chmod 3773 {JOURNALS}",
        f"chown claude-exporter {JOURNALS} && chmod 3773 {JOURNALS}",
        "belongs to root instead of claude-exporter",
    ),
    "a journal is read-only": Fault(
        "journal-files",
        f"chmod 0440 {JOURNALS}/1000.jsonl",
        f"chmod 0640 {JOURNALS}/1000.jsonl",
        "1000.jsonl has mode 440 instead of 640",
    ),
    "the disk is full": Fault(
        "disk",
        f"mount -t tmpfs -o size=1m none {JOURNALS} && chown claude-exporter: {JOURNALS}"
        f" && chmod 3773 {JOURNALS} && ! dd if=/dev/zero of={JOURNALS}/0.jsonl 2>/dev/null",
        f"umount {JOURNALS}",
        f"{JOURNALS} has 0 MiB free and needs 64",
        frozenset({"journal-append"}),
    ),
    "the ledger is damaged": Fault(
        "ledger",
        f"systemctl stop {EXPORTER} && cp -p {LEDGER} /root/kept && {UP} && python3 -c '{SPOIL}' {LEDGER}",
        f"systemctl stop {EXPORTER}; rm -f {LEDGER}*; cp -p /root/kept {LEDGER} && {UP}",
    ),
    "the exporter's configuration is broken": Fault(
        "exporter-config",
        edit(f"{ETC}/exporter.json", '"instance"', '"name"'),
        kept(f"{ETC}/exporter.json"),
        "instance",
    ),
    "the exporter is stopped": Fault(
        "exporter-running",
        f"systemctl stop {EXPORTER}",
        UP,
        "no process of it is there",
        frozenset({"exporter-ready", "otlp-accepted"}),
    ),
    "somebody else has the port of OTLP": Fault(
        "port-otlp",
        f"systemctl stop {EXPORTER} && {SQUAT} -m http.server 4318 --bind 127.0.0.1 && {ready(4318, '/')}",
        f"systemctl stop squatter && {UP}",
        "127.0.0.1:4318 is held by /usr/bin/python3 -m http.server 4318",
        frozenset({"exporter-running", "otlp-accepted"}),
    ),
    "somebody else has the port of the pages": Fault(
        "port-metrics",
        f"systemctl stop {EXPORTER} && {SQUAT} -m http.server 9468 --bind 127.0.0.1 && {ready(9468, '/')}",
        f"systemctl stop squatter && {UP}",
        "127.0.0.1:9468 is held by /usr/bin/python3 -m http.server 9468",
    ),
    "the Pushgateway is stopped": Fault(
        "pushgateway-answers",
        "systemctl stop prometheus-pushgateway",
        f"systemctl start prometheus-pushgateway && {ready(9091)}",
        "127.0.0.1:9091",
    ),
    "the Pushgateway does not take the password": Fault(
        "pushgateway-credentials",
        put("/etc/prometheus/own.yml", json.dumps({"basic_auth_users": {"somebody": PASSWORD}}))
        + f" && cp -p {GATEWAY} /root/kept"
        f" && sed -i 's|\"$| --web.config.file=/etc/prometheus/own.yml\"|' {GATEWAY}"
        " && systemctl restart prometheus-pushgateway",
        f"{kept(GATEWAY)} && systemctl restart prometheus-pushgateway && {ready(9091)}",
        "127.0.0.1:9091 answers 401 to nobody",
    ),
    "the monitoring host's clock is ahead": Fault(
        "clock",
        f"systemctl stop prometheus-pushgateway && {SQUAT}"
        f" /usr/local/share/ccpo-tests/false_gateway.py 9091 3600 && {ready(9091)}",
        f"systemctl stop squatter && systemctl start prometheus-pushgateway && {ready(9091)}",
        " s ahead of this host",
    ),
    "Prometheus does not scrape": Fault(
        "prometheus-target",
        edit("/etc/prometheus/prometheus.yml", "localhost:9091", "localhost:9092")
        + " && sed -i 's/job_name: pushgateway/job_name: other/' /etc/prometheus/prometheus.yml"
        " && systemctl reload prometheus",
        f"{kept('/etc/prometheus/prometheus.yml')} && systemctl reload prometheus",
        "Prometheus does not scrape the Pushgateway",
    ),
    "Prometheus is stopped": Fault(
        "prometheus-answers",
        "systemctl stop prometheus",
        f"systemctl start prometheus && {ready(9090)}",
        "127.0.0.1:9090",
    ),
}
NOTES = {
    "hooks-disabled-by-user": (f"{ANN}/settings.json", {"disableAllHooks": True}),
    "managed-hooks-only": (OTHERS, {"allowManagedHooksOnly": True}),
}
