"""A value of every public variable that is not its default, and where a host shows that it is honoured.

One table, as long as there are variables: a row each, in the order of the roles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Override:
    """A value, and what is seen of it on the host that has it and not on one that keeps the default.

    kind: what is looked at. ``file``: a file's text; ``tree``: owner, group and mode of a path; ``running``:
    the command line of a unit's process; ``listening``: all addresses that somebody listens on; ``package``:
    its state and version; ``certificate``: days and names; ``store``: the names of the controller's files, or
    the text of one; ``asked``: what Ansible reports of a task; ``failure``: the sentence in which the play
    ends; ``gave_up``: how often a service was asked that does not answer; ``warned``: the play's warnings.
    where: path, unit, package or task, if the kind has one.
    shown: False where it is the default that shows the text.
    """

    value: Any
    kind: str
    where: str
    text: str
    host: str = "one"
    shown: bool = True


ETC = "/etc/claude-code-observability"
PROMETHEUS = "/etc/prometheus/prometheus.yml"
RULES = "/etc/prometheus/rules/claude-code-observability.yml"
ALERTMANAGER = "/etc/prometheus/alertmanager.yml"
PROMETHEUS_WEB = "/etc/prometheus/claude-code-observability-web.yml"
PUSHGATEWAY_WEB = "/etc/prometheus/claude-code-observability-pushgateway-web.yml"
ALERTMANAGER_WEB = "/etc/prometheus/claude-code-observability-alertmanager-web.yml"
GRAFANA = "/etc/grafana/grafana.ini"
GRAFANA_SOURCE = "/etc/apt/sources.list.d/claude-code-observability-grafana.sources"
GRAFANA_KEY = "/etc/apt/keyrings/claude-code-observability-grafana.asc"
GRAFANA_DATA = "/etc/grafana/provisioning/datasources/claude-code-observability.yaml"
HOOKS = "/etc/own/hooks.json"
POLICY = "/etc/own/policy.json"
REGISTERED = "/srv/hooks/managed-settings.d/50-observability-hooks.json"
TELEMETRY = "/srv/telemetry/managed-settings.d/40-observability-telemetry.json"
TELEMETRY_DEFAULT = "/etc/claude-code/managed-settings.d/40-observability-telemetry.json"
EXPORTER = f"{ETC}/exporter.json"
AGENT = f"{ETC}/agent.yml"
DOCTOR = f"{ETC}/doctor.json"
PYTHON = "/usr/local/bin/own-python"
TRUSTED = "/etc/claude-code-observability-trust"

MOVED = {
    "/etc/own/": f"{ETC}/",
    "/srv/hooks/": "/etc/claude-code/",
    "/srv/telemetry/": "/etc/claude-code/",
    "/opt/own/": "/usr/local/lib/claude-code-observability/",
    "/var/lib/own/": "/var/lib/claude-code-observability/",
}
"""Where the same is on a host that keeps the defaults."""

MAKES = "trust : Make missing or ending certificates and missing passwords on the controller"
SECRETS = (
    "claude_exporter : Write the exporter's secrets, each to a file of its own, "
    "and remove those that are no longer wanted"
)
MERGED = "claude_hooks : Merge the hooks into the settings of the scope"
PACKAGES = "common : Install the packages without starting their daemons"
EVENT = "claude_exporter : See a synthetic event counted"
OWN_RULE = {
    "name": "no-own",
    "pattern": r"\bown-danger\b",
    "message": "Leave own-danger alone.",
    "must_match": ["own-danger now"],
    "must_not_match": ["own-comfort"],
}
EXTRA = {"ports": ["metrics.example.com:80"]}
EXTRA_FAULT = "metrics.example.com:80 names a host: an engine publishes a port on an address"
NO_IMAGE = "own/{} is no image: write its name with a tag, a digest or both"
HEADERS = {"http_server_config": {"headers": {"X-Frame-Options": "sameorigin"}}}
EXPOSED = "listens on 0.0.0.0:{} without TLS"
INTERVAL = {"name": "at-night", "time_intervals": [{"times": [{"start_time": "22:00", "end_time": "24:00"}]}]}
INHIBIT = {"source_matchers": ['own="loud"'], "target_matchers": ['own="quiet"'], "equal": ["instance"]}
ROUTE = {"receiver": "bot", "matchers": ['alertname="Own"']}
OWN_JOB = {"job_name": "own-job", "static_configs": [{"targets": ["localhost:1"]}]}

MONITORING: dict[str, tuple[Any, ...]] = {
    "prometheus_install_method": ("docker", "failure", "", "is no image", "prometheus_in_docker"),
    "prometheus_image": (
        "own/prometheus",
        "failure",
        "",
        NO_IMAGE.format("prometheus"),
        "prometheus_in_docker",
    ),
    "prometheus_container_extra": (EXTRA, "failure", "", EXTRA_FAULT, "prometheus_in_docker"),
    "prometheus_listen_address": ("127.0.0.1:9190", "listening", "", "127.0.0.1:9190"),
    "prometheus_allow_insecure_exposure": (
        True,
        "warned",
        "",
        f"Prometheus {EXPOSED.format(19090)}",
        "exposed",
    ),
    "prometheus_external_url": (
        "https://one.example.com/p",
        "running",
        "prometheus",
        "--web.external-url=https://one.example.com/p ",
    ),
    "prometheus_retention_time": ("12d", "running", "prometheus", "--storage.tsdb.retention.time=12d "),
    "prometheus_retention_size": ("3GB", "running", "prometheus", "--storage.tsdb.retention.size=3GB "),
    "prometheus_scrape_interval": ("4s", "file", PROMETHEUS, "scrape_interval: 4s"),
    "prometheus_evaluation_interval": ("7s", "file", PROMETHEUS, "evaluation_interval: 7s"),
    "prometheus_external_labels": ({"fleet": "own"}, "file", PROMETHEUS, "fleet: own"),
    "prometheus_pushgateways": (
        ["gateway.example.com:9091"],
        "file",
        PROMETHEUS,
        "- gateway.example.com:9091",
    ),
    "prometheus_alertmanagers": (
        ["alerts.example.com:9093"],
        "file",
        PROMETHEUS,
        "- alerts.example.com:9093",
    ),
    "prometheus_exporters": (["localhost"], "file", RULES, "instance: localhost"),
    "prometheus_known_instances": (["own-bundle"], "file", RULES, "instance: own-bundle"),
    "prometheus_scrape_configs_extra": ([OWN_JOB], "file", PROMETHEUS, "job_name: own-job"),
    "prometheus_remote_write": (
        [{"url": "http://localhost:2/own"}],
        "file",
        PROMETHEUS,
        "url: http://localhost:2/own",
    ),
    "prometheus_remote_read": (
        [{"url": "http://localhost:3/own"}],
        "file",
        PROMETHEUS,
        "url: http://localhost:3/own",
    ),
    "prometheus_remote_write_receiver": (
        True,
        "running",
        "prometheus",
        "--web.enable-remote-write-receiver ",
    ),
    "prometheus_out_of_order_window": ("3h", "file", PROMETHEUS, "out_of_order_time_window: 3h"),
    "prometheus_rule_files": (["{{ inventory_dir }}/own-rules.yml"], "file", RULES, "record: own:sum"),
    "prometheus_budgets": ([{"team": "own", "day": 80}], "file", RULES, "team: own"),
    "prometheus_web_config": (HEADERS, "file", PROMETHEUS_WEB, "X-Frame-Options: sameorigin"),
    "prometheus_flags_extra": (
        {"query.max-samples": 1234567},
        "running",
        "prometheus",
        "--query.max-samples=1234567 ",
    ),
    "prometheus_start_seconds": (2, "gave_up", "", "after 2 attempts", "slow_prometheus"),
    "pushgateway_install_method": ("docker", "failure", "", "is no image", "pushgateway_in_docker"),
    "pushgateway_image": (
        "own/pushgateway",
        "failure",
        "",
        NO_IMAGE.format("pushgateway"),
        "pushgateway_in_docker",
    ),
    "pushgateway_container_extra": (EXTRA, "failure", "", EXTRA_FAULT, "pushgateway_in_docker"),
    "pushgateway_listen_address": ("127.0.0.1:9191", "listening", "", "127.0.0.1:9191"),
    "pushgateway_allow_insecure_exposure": (
        True,
        "warned",
        "",
        f"Pushgateway {EXPOSED.format(19091)}",
        "exposed",
    ),
    "pushgateway_external_url": (
        "https://one.example.com/g",
        "running",
        "prometheus-pushgateway",
        "--web.external-url=https://one.example.com/g ",
    ),
    "pushgateway_persistence_interval": (
        "7s",
        "running",
        "prometheus-pushgateway",
        "--persistence.interval=7s ",
    ),
    "pushgateway_web_config": (HEADERS, "file", PUSHGATEWAY_WEB, "X-Frame-Options: sameorigin"),
    "pushgateway_flags_extra": (
        {"log.format": "json"},
        "running",
        "prometheus-pushgateway",
        "--log.format=json ",
    ),
    "alertmanager_install_method": ("docker", "failure", "", "is no image", "alertmanager_in_docker"),
    "alertmanager_image": (
        "own/alertmanager",
        "failure",
        "",
        NO_IMAGE.format("alertmanager"),
        "alertmanager_in_docker",
    ),
    "alertmanager_container_extra": (EXTRA, "failure", "", EXTRA_FAULT, "alertmanager_in_docker"),
    "alertmanager_listen_address": ("127.0.0.1:9193", "listening", "", "127.0.0.1:9193"),
    "alertmanager_allow_insecure_exposure": (
        True,
        "warned",
        "",
        f"Alertmanager {EXPOSED.format(19093)}",
        "exposed",
    ),
    "alertmanager_external_url": (
        "https://one.example.com/a",
        "running",
        "prometheus-alertmanager",
        "--web.external-url=https://one.example.com/a ",
    ),
    "alertmanager_receivers": (
        [
            {"name": "bot", "webhook_url": "http://127.0.0.1:1/bot"},
            {"name": "mail", "email_to": "own@example.com"},
        ],
        "file",
        ALERTMANAGER,
        "to: own@example.com",
    ),
    "alertmanager_smtp": (
        {"smarthost": "localhost:25", "from": "b@example.com"},
        "file",
        ALERTMANAGER,
        "smtp_from: b@example.com",
    ),
    "alertmanager_default_receiver": ("bot", "file", ALERTMANAGER, "route:\n  receiver: bot"),
    "alertmanager_severity_receivers": (
        {"critical": "mail"},
        "file",
        ALERTMANAGER,
        'severity="critical"\n    receiver: mail',
    ),
    "alertmanager_team_receivers": ({"own": "mail"}, "file", ALERTMANAGER, 'team="own"\n    receiver: mail'),
    "alertmanager_routes_extra": ([ROUTE], "file", ALERTMANAGER, 'alertname="Own"'),
    "alertmanager_group_wait": ("11s", "file", ALERTMANAGER, "group_wait: 11s"),
    "alertmanager_group_interval": ("6m", "file", ALERTMANAGER, "group_interval: 6m"),
    "alertmanager_repeat_interval": ("7h", "file", ALERTMANAGER, "repeat_interval: 7h"),
    "alertmanager_resolve_timeout": ("8m", "file", ALERTMANAGER, "resolve_timeout: 8m"),
    "alertmanager_inhibit_rules": ([INHIBIT], "file", ALERTMANAGER, 'own="loud"'),
    "alertmanager_time_intervals": ([INTERVAL], "file", ALERTMANAGER, "name: at-night"),
    "alertmanager_retention": ("50h", "running", "prometheus-alertmanager", "--data.retention=50h "),
    "alertmanager_cluster_listen_address": ("127.0.0.1:9194", "listening", "", "127.0.0.1:9194"),
    "alertmanager_cluster_peers": (
        ["127.0.0.1:9195"],
        "running",
        "prometheus-alertmanager",
        "--cluster.peer=127.0.0.1:9195 ",
    ),
    "alertmanager_web_config": (HEADERS, "file", ALERTMANAGER_WEB, "X-Frame-Options: sameorigin"),
    "alertmanager_flags_extra": (
        {"log.format": "json"},
        "running",
        "prometheus-alertmanager",
        "--log.format=json ",
    ),
    "victoriametrics_enabled": (True, "package", "victoria-metrics", "installed"),
    "victoriametrics_listen_address": ("127.0.0.1:8429", "listening", "", "127.0.0.1:8429"),
    "victoriametrics_retention_period": ("29", "running", "victoria-metrics", "-retentionPeriod=29 "),
    "victoriametrics_memory_percent": (41, "running", "victoria-metrics", "-memory.allowedPercent=41 "),
    "victoriametrics_flags_extra": (
        {"search.maxUniqueTimeseries": 4321},
        "running",
        "victoria-metrics",
        "-search.maxUniqueTimeseries=4321 ",
    ),
    "victoriametrics_start_seconds": (2, "gave_up", "", "after 2 attempts", "slow_victoriametrics"),
    "grafana_install_method": ("docker", "failure", "", "is no image", "grafana_in_docker"),
    "grafana_image": ("own/grafana", "failure", "", NO_IMAGE.format("grafana"), "grafana_in_docker"),
    "grafana_container_extra": (EXTRA, "failure", "", EXTRA_FAULT, "grafana_in_docker"),
    "grafana_unreachable": (
        "skip",
        "asked",
        "grafana : Say that Grafana is left out",
        "Left out: Grafana.",
        "pushing_by_file",
    ),
    "grafana_apt_url": ("file:/srv/own", "file", GRAFANA_SOURCE, "URIs: file:/srv/own\n"),
    "grafana_apt_suite": ("own", "file", GRAFANA_SOURCE, "Suites: own\n"),
    "grafana_apt_components": (["main", "own"], "file", GRAFANA_SOURCE, "Components: main own\n"),
    "grafana_apt_key_url": ("file:/srv/own/own.key", "file", GRAFANA_KEY, "Comment: own"),
    "grafana_apt_key": ("the own key", "file", GRAFANA_KEY, "the own key", "exposed"),
    "grafana_version": ("11.0.0", "package", "grafana", "11.0.0"),
    "grafana_listen_address": ("127.0.0.1:3030", "listening", "", "127.0.0.1:3030"),
    "grafana_allow_insecure_exposure": (True, "warned", "", f"Grafana {EXPOSED.format(13000)}", "exposed"),
    "grafana_external_url": (
        "https://one.example.com/",
        "file",
        GRAFANA,
        "root_url = https://one.example.com/",
    ),
    "grafana_admin_user": ("root", "file", GRAFANA, "admin_user = root"),
    "grafana_admin_password": (
        "correct-horse-battery",
        "file",
        "/etc/grafana/claude-code-observability/admin-password",
        "correct-horse-battery",
    ),
    "grafana_prometheus_url": ("http://127.0.0.2:9190", "file", GRAFANA_DATA, "http://127.0.0.2:9190"),
    "grafana_ini": ({"users": {"default_theme": "light"}}, "file", GRAFANA, "default_theme = light"),
    "grafana_start_seconds": (2, "gave_up", "", "after 2 attempts", "slow_grafana"),
    "docker_engine_manage": (True, "asked", PACKAGES, "docker.io", "pushing_by_file"),
    "trust_enabled": (True, "tree", f"{TRUSTED}/prometheus/ca.crt", "root prometheus 640"),
    "trust_directory": ("{{ inventory_dir }}/own-store", "store", "", "own-store/ca.crt"),
    "trust_names": (["own.example.com"], "certificate", f"{TRUSTED}/prometheus/host.crt", "own.example.com"),
    "trust_users": (
        ["prometheus", "pushgateway", "alertmanager", "exporter", "agent", "victoriametrics", "auditor"],
        "store",
        "",
        "own-store/passwords/auditor",
    ),
    "trust_passwords": (
        {"prometheus": "given-and-long"},
        "file",
        f"{TRUSTED}/prometheus/prometheus.password",
        "given-and-long",
    ),
    "trust_ca_days": (1000, "certificate", f"{TRUSTED}/prometheus/ca.crt", "1000 days"),
    "trust_certificate_days": (50, "certificate", f"{TRUSTED}/prometheus/host.crt", "50 days"),
    "trust_renew_days": (20, "asked", MAKES, '"made": []'),
    "trust_ca_rotation": ("own-1", "store", "own-store/rotation.json", '"ca": "own-1"'),
    "trust_password_rotation": ("own-2", "store", "own-store/rotation.json", '"passwords": "own-2"'),
    "trust_ca_file": ("/srv/own/ca.crt", "failure", "", "/srv/own/ca.crt and ", "own_certificate"),
    "trust_certificate_file": (
        "/srv/own/host.crt",
        "failure",
        "",
        "and /srv/own/host.crt and",
        "own_certificate",
    ),
    "trust_key_file": (
        "/srv/own/host.key",
        "failure",
        "",
        "/srv/own/host.key is not on the machine",
        "own_certificate",
    ),
}

DEVELOPERS: dict[str, tuple[Any, ...]] = {
    "claude_hooks_dir": ("/opt/own/hooks", "tree", "/opt/own/hooks/pre_tool_use.py", "ada staff 644"),
    "claude_hooks_config_dir": ("/etc/own", "file", REGISTERED, "/etc/own/hooks.json"),
    "claude_hooks_settings_dir": (
        "/srv/hooks/managed-settings.d",
        "file",
        EXPORTER,
        "/srv/hooks/managed-settings.d",
    ),
    "claude_hooks_journal_dir": (
        "/var/lib/own/journal",
        "file",
        EXPORTER,
        '"journal_dir": "/var/lib/own/journal"',
    ),
    "claude_hooks_owner": ("ada", "tree", HOOKS, "ada "),
    "claude_hooks_group": ("staff", "tree", HOOKS, " staff "),
    "claude_hooks_python": (PYTHON, "file", REGISTERED, PYTHON),
    "claude_hooks_packages": (["shfmt", "xxd"], "package", "xxd", "installed"),
    "claude_hooks_scope": ("user", "file", f"{ETC}/registered.json", '"scope": "user"', "pushing"),
    "claude_hooks_users": (["ada"], "asked", MERGED, "/home/ada/.claude/settings.json", "pushing"),
    "claude_hooks_projects": (["/srv/shop"], "asked", MERGED, "/srv/shop/.claude/settings.json", "scraped"),
    "claude_hooks_guard_mode": ("strict", "file", POLICY, '"mode": "strict"'),
    "claude_hooks_protected_patterns": ([".env", "*.own"], "file", POLICY, '"*.own"'),
    "claude_hooks_allowed_templates": ([".own-example"], "file", POLICY, '".own-example"'),
    "claude_hooks_extra_allowed_roots": (["/srv/scratch"], "file", POLICY, '"/srv/scratch"'),
    "claude_hooks_git_clean": (True, "file", POLICY, '"git_clean": true'),
    "claude_hooks_own_rules": ([OWN_RULE], "file", POLICY, "Leave own-danger alone."),
    "claude_hooks_guard_timeout": (13, "file", REGISTERED, '"timeout": 13'),
    "claude_hooks_deny_rules": (True, "file", REGISTERED, '"deny":'),
    "claude_hooks_timeout": (6, "file", REGISTERED, '"timeout": 6'),
    "claude_hooks_disabled_events": (["ConfigChange"], "file", REGISTERED, "ConfigChange", "one", False),
    "claude_hooks_notification_engine": ("auto", "file", HOOKS, '"engine": "auto"'),
    "claude_hooks_notification_language": ("de", "file", HOOKS, '"language": "de"'),
    "claude_hooks_notification_voice": ("own-voice", "file", HOOKS, '"voice": "own-voice"'),
    "claude_hooks_notification_types": (["auth_success"], "file", HOOKS, '"auth_success"'),
    "claude_hooks_notification_quiet_hours": ("21:00-06:30", "file", HOOKS, '"quiet_hours": "21:00-06:30"'),
    "claude_hooks_notification_sentences": (
        {"permission_prompt": "Own words."},
        "file",
        HOOKS,
        '"permission_prompt": "Own words."',
    ),
    "claude_hooks_notification_key": ("own-voice-key", "file", "/etc/own/voice.key", "own-voice-key"),
    "claude_hooks_notification_key_group": ("audio", "tree", "/etc/own/voice.key", "ada audio 640"),
    "claude_hooks_notification_key_file": (
        "~/.config/speech.key",
        "file",
        HOOKS,
        '"key_file": "~/.config/speech.key"',
    ),
    "claude_hooks_notification_endpoint": (
        "https://speech.example.com",
        "file",
        HOOKS,
        '"endpoint": "https://speech.example.com"',
    ),
    "claude_hooks_notification_model": ("own-model", "file", HOOKS, '"model": "own-model"'),
    "claude_hooks_tool_log": (True, "file", HOOKS, '"tool_log": "~/'),
    "claude_hooks_tool_log_path": ("~/own.jsonl", "file", HOOKS, "~/own.jsonl"),
    "claude_hooks_commands": (False, "file", "/srv/hooks/.claude/commands/meter.md", "meter", "one", False),
    "claude_hooks_metrics_url": (
        "http://127.0.0.1:9469",
        "file",
        HOOKS,
        '"metrics_url": "http://127.0.0.1:9469"',
    ),
    "claude_hooks_prometheus_url": (
        "http://127.0.0.1:9190",
        "file",
        HOOKS,
        '"prometheus_url": "http://127.0.0.1:9190"',
    ),
    "claude_exporter_instance": ("one-instance", "setting", "instance", '"one-instance"'),
    "claude_exporter_listen": ("127.0.0.1:9469", "listening", "", "127.0.0.1:9469"),
    "claude_exporter_otlp_listen": ("127.0.0.1:4319", "listening", "", "127.0.0.1:4319"),
    "claude_exporter_macos_python": (
        "/opt/nowhere/python3",
        "failure",
        "",
        "/opt/nowhere/python3 does not have the packages cheroot and prometheus-client",
        "mac",
    ),
    "claude_exporter_protobuf": (False, "package", "python3-opentelemetry-proto", "installed", "one", False),
    "claude_exporter_labels": ({"team": "own"}, "setting", "team", '"own"'),
    "claude_exporter_user_label": ("hashed", "setting", "user_label", '"hashed"'),
    "claude_exporter_project_label": ("off", "setting", "project_label", '"off"'),
    "claude_exporter_hash_key": (
        "own-hash-key-of-thirty-two-letters",
        "file",
        f"{ETC}/exporter.hash_key",
        "own-hash-key-of-thirty-two-letters",
    ),
    "claude_exporter_max_projects": (51, "setting", "max_projects", "51"),
    "claude_exporter_session_timeout": (1801, "setting", "session_timeout", "1801"),
    "claude_exporter_session_linger": (901, "setting", "session_linger", "901"),
    "claude_exporter_debut": (31, "setting", "debut", "31"),
    "claude_exporter_guard_interval": (301, "setting", "interval", "301"),
    "claude_exporter_canary_interval": (299, "setting", "canary_interval", "299"),
    "claude_exporter_transport": ("remote_write", "file", DOCTOR, '"transport": "remote_write"'),
    "claude_exporter_pushgateway_url": (
        "https://gateway.example.com:9091",
        "setting",
        "url",
        '"https://gateway.example.com:9091"',
        "pushing",
    ),
    "claude_exporter_pushgateway_username": ("pusher", "setting", "username", '"pusher"', "pushing"),
    "claude_exporter_pushgateway_password": (
        "own-push-word",
        "file",
        f"{ETC}/exporter.pushgateway_password",
        "own-push-word",
        "pushing",
    ),
    "claude_exporter_pushgateway_password_file": (
        "/etc/own-push-word",
        "setting",
        "password_file",
        '"/etc/own-push-word"',
        "pushing_by_file",
    ),
    "claude_exporter_pushgateway_ca_file": (
        "/etc/ssl/own-ca.crt",
        "setting",
        "ca_file",
        '"/etc/ssl/own-ca.crt"',
        "pushing",
    ),
    "claude_exporter_push_interval": (17, "setting", "interval", "17", "pushing"),
    "claude_exporter_web_cert_file": ("/etc/own.crt", "setting", "cert_file", '"/etc/own.crt"', "scraped"),
    "claude_exporter_web_key_file": ("/etc/own.key", "setting", "key_file", '"/etc/own.key"', "scraped"),
    "claude_exporter_web_username": (
        "reader",
        "setting",
        "reader",
        f'"{ETC}/exporter.web_password"',
        "scraped",
    ),
    "claude_exporter_web_password": (
        "own-web-word",
        "file",
        f"{ETC}/exporter.web_password",
        "own-web-word",
        "scraped",
    ),
    "claude_exporter_web_password_file": (
        "/etc/own-web-word",
        "setting",
        "exporter",
        '"/etc/own-web-word"',
        "scraped_by_file",
    ),
    "claude_exporter_selfcheck": (False, "asked", EVENT, "--selfcheck", "unchecked", False),
    "claude_exporter_selfcheck_timeout": (29, "asked", EVENT, '"--selfcheck", "29"'),
    "claude_exporter_secure_logging": (False, "asked", SECRETS, f"{ETC}/exporter.hash_key"),
    "claude_agent_enabled": (True, "file", AGENT, "job_name: claude_code", "pushing"),
    "claude_agent_listen_address": ("127.0.0.1:9096", "listening", "", "127.0.0.1:9096"),
    "claude_agent_exporter_address": ("localhost:9469", "file", AGENT, "- localhost:9469"),
    "claude_agent_instance": ("own-agent", "file", AGENT, "instance: own-agent", "pushing"),
    "claude_agent_scrape_interval": ("3s", "file", AGENT, "scrape_interval: 3s"),
    "claude_agent_url": (
        "http://127.0.0.1:9190/api/v1/write",
        "file",
        AGENT,
        "url: http://127.0.0.1:9190/api/v1/write",
    ),
    "claude_agent_username": ("writer", "file", AGENT, "username: writer", "pushing"),
    "claude_agent_password_file": ("/etc/own-word", "file", AGENT, "password_file: /etc/own-word", "pushing"),
    "claude_agent_ca_file": ("/etc/ssl/own-ca.crt", "file", AGENT, "ca_file: /etc/ssl/own-ca.crt", "pushing"),
    "claude_agent_queue": ({"max_shards": 3}, "file", AGENT, "max_shards: 3"),
    "claude_agent_wal_max_time": (
        "49h",
        "running",
        "claude-code-agent",
        "--storage.agent.retention.max-time=49h ",
    ),
    "claude_agent_start_seconds": (2, "gave_up", "", "after 2 attempts", "slow_agent"),
    "claude_telemetry_mode": ("otlp", "environment", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
    "claude_telemetry_settings_dir": (
        "/srv/telemetry/managed-settings.d",
        "tree",
        TELEMETRY,
        "ada staff 644",
    ),
    "claude_telemetry_owner": ("ada", "tree", TELEMETRY, "ada "),
    "claude_telemetry_group": ("staff", "tree", TELEMETRY, " staff "),
    "claude_telemetry_python": (
        PYTHON,
        "asked",
        "claude_telemetry : Look for settings that change it",
        PYTHON,
    ),
    "claude_telemetry_exporter_endpoint": (
        "http://127.0.0.1:4320",
        "environment",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "http://127.0.0.1:4320",
        "pushing",
    ),
    "claude_telemetry_otlp_endpoint": (
        "https://own.example.com:4317",
        "environment",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "https://own.example.com:4317",
    ),
    "claude_telemetry_otlp_protocol": ("grpc", "environment", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    "claude_telemetry_otlp_headers": (
        {"X-Own": "yes"},
        "environment",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "X-Own=yes",
    ),
    "claude_telemetry_otlp_temporality": (
        "cumulative",
        "environment",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "cumulative",
    ),
    "claude_telemetry_otlp_ca_file": (
        "/etc/ssl/own-ca.crt",
        "environment",
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "/etc/ssl/own-ca.crt",
    ),
    "claude_telemetry_otlp_client_certificate": (
        "/etc/ssl/own.crt",
        "environment",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        "/etc/ssl/own.crt",
    ),
    "claude_telemetry_otlp_client_key": (
        "/etc/ssl/own.key",
        "environment",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        "/etc/ssl/own.key",
    ),
    "claude_telemetry_prometheus_address": (
        "127.0.0.2",
        "environment",
        "OTEL_EXPORTER_PROMETHEUS_HOST",
        "127.0.0.2",
        "scraped",
    ),
    "claude_telemetry_prometheus_port": (
        9465,
        "environment",
        "OTEL_EXPORTER_PROMETHEUS_PORT",
        "9465",
        "scraped",
    ),
    "claude_telemetry_metric_export_interval": (5001, "environment", "OTEL_METRIC_EXPORT_INTERVAL", "5001"),
    "claude_telemetry_logs_export_interval": (1001, "environment", "OTEL_LOGS_EXPORT_INTERVAL", "1001"),
    "claude_telemetry_export_timeout": (30001, "environment", "OTEL_EXPORTER_OTLP_TIMEOUT", "30001"),
    "claude_telemetry_flush_timeout": (30002, "environment", "CLAUDE_CODE_OTEL_FLUSH_TIMEOUT_MS", "30002"),
    "claude_telemetry_shutdown_timeout": (
        30003,
        "environment",
        "CLAUDE_CODE_OTEL_SHUTDOWN_TIMEOUT_MS",
        "30003",
    ),
    "claude_telemetry_log_user_prompts": (True, "environment", "OTEL_LOG_USER_PROMPTS", "1"),
    "claude_telemetry_log_assistant_responses": (True, "environment", "OTEL_LOG_ASSISTANT_RESPONSES", "1"),
    "claude_telemetry_log_tool_details": (True, "environment", "OTEL_LOG_TOOL_DETAILS", "1"),
    "claude_telemetry_log_tool_content": (True, "environment", "OTEL_LOG_TOOL_CONTENT", "1"),
    "claude_telemetry_log_raw_api_bodies": (True, "environment", "OTEL_LOG_RAW_API_BODIES", "1"),
    "claude_telemetry_traces": (True, "environment", "OTEL_TRACES_EXPORTER", "otlp"),
    "claude_telemetry_include_session_id": (
        False,
        "environment",
        "OTEL_METRICS_INCLUDE_SESSION_ID",
        "false",
        "scraped",
    ),
    "claude_telemetry_include_version": (True, "environment", "OTEL_METRICS_INCLUDE_VERSION", "true"),
    "claude_telemetry_include_account_uuid": (
        True,
        "environment",
        "OTEL_METRICS_INCLUDE_ACCOUNT_UUID",
        "true",
    ),
    "claude_telemetry_include_entrypoint": (True, "environment", "OTEL_METRICS_INCLUDE_ENTRYPOINT", "true"),
    "claude_telemetry_include_resource_attributes": (
        False,
        "environment",
        "OTEL_METRICS_INCLUDE_RESOURCE_ATTRIBUTES",
        "false",
    ),
    "claude_telemetry_resource_attributes": (
        {"team": "own"},
        "environment",
        "OTEL_RESOURCE_ATTRIBUTES",
        "team=own",
    ),
    "claude_telemetry_extra_environment": ({"OWN_SWITCH": "7"}, "environment", "OWN_SWITCH", "7"),
    "claude_telemetry_profile": (True, "file", "/etc/profile.d/own.sh", "export OTEL_"),
    "claude_telemetry_profile_path": (
        "/etc/profile.d/own.sh",
        "tree",
        "/etc/profile.d/own.sh",
        "ada staff 644",
    ),
    "claude_doctor_oldest_client": ("2.1.301", "file", DOCTOR, '"oldest_client": "2.1.301"'),
    "claude_doctor_least_free_mib": (65, "file", DOCTOR, '"least_free_mib": 65'),
    "claude_doctor_prometheus_url": (
        "http://127.0.0.1:9190",
        "file",
        DOCTOR,
        '"url": "http://127.0.0.1:9190"',
    ),
    "claude_doctor_prometheus_username": ("asker", "file", DOCTOR, '"username": "asker"'),
    "claude_doctor_prometheus_password_file": (
        "/etc/own-word",
        "file",
        DOCTOR,
        '"password_file": "/etc/own-word"',
    ),
    "claude_doctor_prometheus_ca_file": (
        "/etc/ssl/own-ca.crt",
        "file",
        DOCTOR,
        '"ca_file": "/etc/ssl/own-ca.crt"',
    ),
}


def override(row: tuple[Any, ...]) -> Override:
    """Return an override by its row; a setting of the exporter or of Claude Code is looked up in its file."""
    one = Override(*row)
    if one.kind == "setting":
        return replace(one, kind="file", where=EXPORTER, text=f'"{one.where}": {one.text}')
    if one.kind == "environment":
        where = TELEMETRY if one.host == "one" else TELEMETRY_DEFAULT
        return replace(one, kind="file", where=where, text=f'"{one.where}": "{one.text}"')
    return one


OVERRIDES = {name: override(row) for name, row in {**MONITORING, **DEVELOPERS}.items()}
NOTHING = "127.0.0.1:7"


@dataclass(frozen=True)
class Beside:
    """A host of values that exclude others: the parts of roles that it plays, and what goes with them."""

    parts: dict[str, str]
    variables: dict[str, Any]


CHECKED = {
    "prometheus_in_docker": Beside(
        {"prometheus": "main"},
        {
            "docker_engine_manage": True,
            "pushgateway_install_method": "docker",
            "alertmanager_install_method": "docker",
        },
    ),
    "pushgateway_in_docker": Beside({"pushgateway": "main"}, {"docker_engine_manage": True}),
    "alertmanager_in_docker": Beside({"alertmanager": "main"}, {"docker_engine_manage": True}),
    "grafana_in_docker": Beside(
        {"grafana": "main"}, {"docker_engine_manage": True, "prometheus_install_method": "docker"}
    ),
    "exposed": Beside(
        {
            "prometheus": "preflight",
            "pushgateway": "preflight",
            "alertmanager": "preflight",
            "grafana": "main",
        },
        {
            "prometheus_listen_address": "0.0.0.0:19090",
            "pushgateway_listen_address": "0.0.0.0:19091",
            "alertmanager_listen_address": "0.0.0.0:19093",
            "grafana_listen_address": "0.0.0.0:13000",
        },
    ),
    "own_certificate": Beside({"trust": "main"}, {"trust_enabled": True}),
    "mac": Beside({"claude_exporter": "main"}, {}),
    "pushing": Beside(
        {
            "claude_hooks": "configure",
            "claude_exporter": "configure",
            "claude_agent": "main",
            "claude_telemetry": "configure",
        },
        {"claude_exporter_secure_logging": False},
    ),
    "scraped": Beside(
        {"claude_hooks": "configure", "claude_exporter": "configure", "claude_telemetry": "configure"},
        {
            "claude_hooks_scope": "project",
            "claude_exporter_secure_logging": False,
            "claude_exporter_transport": "scrape",
            "claude_telemetry_mode": "prometheus",
        },
    ),
    "pushing_by_file": Beside(
        {"docker_engine": "main", "grafana": "preflight", "claude_exporter": "configure"},
        {
            "claude_exporter_pushgateway_username": "pusher",
            "grafana_apt_url": "http://127.0.0.1:9/none",
            "grafana_version": "11.7.0",
        },
    ),
    "scraped_by_file": Beside(
        {"claude_exporter": "configure"},
        {
            "claude_exporter_transport": "scrape",
            "claude_exporter_web_cert_file": "/etc/own.crt",
            "claude_exporter_web_key_file": "/etc/own.key",
        },
    ),
}
"""Hosts that are played in check mode on a machine that keeps the defaults."""
ASKED = {
    "slow_prometheus": Beside({"prometheus": "main"}, {"prometheus_listen_address": NOTHING}),
    "slow_victoriametrics": Beside(
        {"victoriametrics": "main"},
        {"victoriametrics_enabled": True, "victoriametrics_listen_address": NOTHING},
    ),
    "slow_grafana": Beside({"grafana": "main"}, {"grafana_listen_address": NOTHING}),
    "slow_agent": Beside(
        {"claude_agent": "main"}, {"claude_agent_enabled": True, "claude_agent_listen_address": NOTHING}
    ),
    "unchecked": Beside({"claude_exporter": "main"}, {}),
}
"""Hosts whose check of themselves is played alone, where nothing answers at that address."""
