"""The filters behind Prometheus' and Alertmanager's configuration, and addresses."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from plugins.filter.addresses import (
    at_odds,
    host_days,
    host_names,
    is_listen_address,
    is_loopback,
    listen_host,
    listen_port,
    local_url,
    spans_hosts,
)
from plugins.filter.alertmanager import (
    alertmanager_global,
    alertmanager_receivers,
    alertmanager_route,
    alertmanager_secrets,
    unknown_receivers,
)
from plugins.filter.prometheus import (
    command_line,
    exporter_instances,
    flags_fault,
    is_secured,
    merge_rules,
    pushed_relabeling,
    scrape_targets,
    service_security,
)


@pytest.mark.parametrize(
    ("address", "host", "port", "loopback", "url"),
    [
        ("127.0.0.1:9090", "127.0.0.1", 9090, True, "https://127.0.0.1:9090"),
        ("[::1]:9090", "::1", 9090, True, "https://[::1]:9090"),
        ("localhost:1", "localhost", 1, True, "https://localhost:1"),
        ("0.0.0.0:9090", "0.0.0.0", 9090, False, "https://127.0.0.1:9090"),
        ("[::]:9090", "::", 9090, False, "https://127.0.0.1:9090"),
        (":9090", "", 9090, False, "https://127.0.0.1:9090"),
        ("10.0.0.5:9090", "10.0.0.5", 9090, False, "https://10.0.0.5:9090"),
        ("monitor.example.com:9090", "monitor.example.com", 9090, False, "https://monitor.example.com:9090"),
    ],
)
def test_an_address_says_where_who_reaches_it_and_how(
    *, address: str, host: str, port: int, loopback: bool, url: str
) -> None:
    assert is_listen_address(address)
    assert (listen_host(address), listen_port(address)) == (host, port)
    assert is_loopback(address) is loopback
    assert local_url(address, tls=True) == url


@pytest.mark.parametrize(
    "address", ["9090", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "::1:9090", "a b:1"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    assert not is_listen_address(address)


def test_an_inventory_spans_hosts_when_its_two_groups_hold_more_than_one() -> None:
    assert not spans_hosts({"monitoring": ["a"], "developers": ["a"], "others": ["b", "c"]})
    assert spans_hosts({"monitoring": ["a"], "developers": ["b"]})


def test_a_certificate_names_a_host_as_others_call_it() -> None:
    hostvars: dict[str, dict[str, Any]] = {
        "a": {},
        "b": {"ansible_host": "10.0.0.2", "trust_names": ["b.lan"]},
    }
    assert host_names(["a", "b"], hostvars) == {"a": ["a"], "b": ["b", "10.0.0.2", "b.lan"]}


def test_a_hosts_days_are_its_own_or_the_default() -> None:
    hostvars: dict[str, dict[str, object]] = {"a": {}, "b": {"trust_renew_days": "30"}}
    days = host_days(["a", "b"], hostvars, variable="trust_renew_days", default=60)
    assert days == {"a": 60, "b": 30}


def test_hosts_are_at_odds_over_what_one_of_them_has_otherwise() -> None:
    defaults = {"trust_ca_days": 3650, "trust_users": ["a"], "trust_passwords": {}}
    own = {"trust_ca_days": 3650, "trust_users": ["a", "b"], "trust_renew_days": 1}
    assert at_odds(own, {}, defaults=defaults, names=list(defaults)) == ["trust_users"]
    assert at_odds({}, {"trust_passwords": {"a": "x"}}, defaults=defaults, names=list(defaults)) == [
        "trust_passwords"
    ]
    assert at_odds(own, own, defaults=defaults, names=list(defaults)) == []


def test_flags_become_one_line() -> None:
    flags = {"a.b": "x", "bare": True, "off": False, "gone": None, "empty": "", "twice": ["1", "2"], "n": 3}
    assert command_line(flags) == "--a.b=x --bare --no-off --empty= --twice=1 --twice=2 --n=3"


@pytest.mark.parametrize("value", ["a b", 'a"b', "a$b", "a`b", "a\\b", "a'b", "a\nb"])
def test_a_flag_that_a_shell_or_systemd_would_read_otherwise_is_refused(value: str) -> None:
    assert flags_fault({"x": value}) == (
        "The value of the flag x must have no blank, quote, backslash, dollar or backtick."
    )


def test_a_flag_is_named_without_dashes() -> None:
    assert flags_fault({"--x": 1}) == "'--x' is not a flag: write its name without the leading dashes."
    assert flags_fault({"x": 1}) == ""


@pytest.mark.parametrize(
    ("web", "secured"),
    [
        ({}, False),
        ({"basic_auth_users": {"a": "h"}}, False),
        ({"tls_server_config": {"cert_file": "c"}}, False),
        ({"tls_server_config": {"cert_file": "c"}, "basic_auth_users": {"a": "h"}}, True),
        ({"tls_server_config": {"client_auth_type": "RequireAndVerifyClientCert"}}, True),
    ],
)
def test_only_encryption_and_authentication_together_are_secure(
    *, web: dict[str, Any], secured: bool
) -> None:
    assert is_secured(web) is secured


def test_a_service_is_shown_its_own_user() -> None:
    assert service_security("exporter", enabled=False, directory="/t") == {}
    assert service_security("exporter", enabled=True, directory="/t") == {
        "scheme": "https",
        "tls_config": {"ca_file": "/t/ca.crt"},
        "basic_auth": {"username": "exporter", "password_file": "/t/exporter.password"},
    }


def test_only_hosts_with_transport_scrape_are_targets_and_keep_their_instance() -> None:
    scraped = {"claude_exporter_transport": "scrape"}
    hostvars: dict[str, dict[str, Any]] = {
        "push": {},
        "c": {**scraped, "ansible_host": "fd00::2"},
        "b": {**scraped, "claude_exporter_listen": "0.0.0.0:9999", "claude_exporter_instance": "bee"},
        "a": {**scraped, "ansible_host": "10.0.0.1"},
    }
    assert scrape_targets(["push", "c", "b", "a"], hostvars, here="a") == [
        {"targets": ["localhost:9468"], "labels": {"instance": "a"}},
        {"targets": ["b:9999"], "labels": {"instance": "bee"}},
        {"targets": ["[fd00::2]:9468"], "labels": {"instance": "c"}},
    ]


def test_five_hundred_hosts_are_listed() -> None:
    hostvars = {f"dev-{number:03}": {"claude_exporter_transport": "scrape"} for number in range(500)}
    targets = scrape_targets(list(hostvars), hostvars, here="monitor")
    assert len(targets) == 500
    assert targets[499] == {"targets": ["dev-499:9468"], "labels": {"instance": "dev-499"}}


def test_rules_of_all_files_and_budgets_become_one_file() -> None:
    files = ["groups:\n  - {name: a, rules: []}\n", "groups:\n  - {name: b, rules: []}\n", ""]
    budgets: list[dict[str, Any]] = [{"team": "data", "day": 80, "month": 1200.5}, {"team": "none"}]
    merged = yaml.safe_load(merge_rules(files, budgets=budgets))
    budget, *others = merged["groups"]
    assert [group["name"] for group in others] == ["a", "b"]
    assert budget["rules"] == [
        {
            "record": "claude_code_team_budget_usd",
            "expr": expression,
            "labels": {"team": "data", "period": period},
        }
        for expression, period in (("vector(80)", "day"), ("vector(1200.5)", "month"))
    ]


def test_who_may_push_becomes_series() -> None:
    hostvars: dict[str, dict[str, Any]] = {"dev-b": {}, "dev-a": {"claude_exporter_instance": "laptop"}}
    instances = exporter_instances(["dev-b", "dev-a"], hostvars)
    assert instances == ["laptop", "dev-b"]
    (group,) = yaml.safe_load(merge_rules([], budgets=[], instances=instances))["groups"]
    assert [(rule["record"], rule["expr"], rule["labels"]) for rule in group["rules"]] == [
        ("claude_code_inventory_info", "vector(1)", {"instance": instance}) for instance in instances
    ]


def test_without_budgets_there_is_no_group_for_them() -> None:
    assert yaml.safe_load(merge_rules([], budgets=[])) == {"groups": []}


RECEIVERS: list[dict[str, Any]] = [
    {
        "name": "ops",
        "webhook_url": "https://x/secret",
        "email_to": "a@b",
        "slack_url": "https://s",
        "slack_channel": "#c",
    },
    {"name": "page", "pagerduty_key": "k", "config": {"opsgenie_configs": [{"api_key_file": "/k"}]}},
]


def test_secrets_become_files() -> None:
    assert alertmanager_secrets(RECEIVERS, {"password": "p"}) == {
        "smtp": "p",
        "ops.webhook_url": "https://x/secret",
        "ops.slack_url": "https://s",
        "page.pagerduty_key": "k",
    }


def test_receivers_name_the_files_of_their_secrets() -> None:
    nobody, ops, page = alertmanager_receivers(RECEIVERS, directory="/d", webhook_files=True)
    assert nobody == {"name": "nobody"}
    assert ops == {
        "name": "ops",
        "webhook_configs": [{"url_file": "/d/ops.webhook_url", "send_resolved": True}],
        "email_configs": [{"to": "a@b", "send_resolved": True}],
        "slack_configs": [{"api_url_file": "/d/ops.slack_url", "send_resolved": True, "channel": "#c"}],
    }
    assert page["pagerduty_configs"] == [{"routing_key_file": "/d/page.pagerduty_key", "send_resolved": True}]
    assert page["opsgenie_configs"] == [{"api_key_file": "/k"}]


def test_an_alertmanager_that_reads_no_address_from_a_file_gets_it_in_its_configuration() -> None:
    _, ops, _ = alertmanager_receivers(RECEIVERS, directory="/d", webhook_files=False)
    assert ops["webhook_configs"] == [{"url": "https://x/secret", "send_resolved": True}]


def test_by_default_there_is_one_route_to_nobody() -> None:
    route = alertmanager_route("", severities={}, teams={}, extra=[], timing={"group_wait": "30s"})
    assert route == {"receiver": "nobody", "group_by": ["alertname", "team"], "group_wait": "30s"}


def test_severity_and_team_are_both_told() -> None:
    route = alertmanager_route(
        "bot", severities={"critical": "page"}, teams={"data": "ops"}, extra=[{"receiver": "x"}], timing={}
    )
    assert route["routes"] == [
        {"receiver": "x"},
        {"matchers": ['severity="critical"'], "receiver": "page", "continue": True},
        {"matchers": ['team="data"'], "receiver": "ops"},
    ]
    assert unknown_receivers(route, [{"name": "page"}, {"name": "ops"}]) == ["bot", "x"]


def test_the_mail_server_is_told_its_password_by_a_file() -> None:
    smtp = {"smarthost": "m:587", "from": "a@b", "username": "u", "password": "p"}
    assert alertmanager_global({}, directory="/d") == {}
    assert alertmanager_global(smtp, directory="/d") == {
        "smtp_smarthost": "m:587",
        "smtp_from": "a@b",
        "smtp_require_tls": True,
        "smtp_auth_username": "u",
        "smtp_auth_password_file": "/d/smtp",
    }


def test_hosts_that_do_not_push_are_written_into_the_rules_letter_for_letter() -> None:
    hostvars: dict[str, dict[str, Any]] = {
        "a.lan": {"claude_exporter_transport": "scrape"},
        "b": {"claude_exporter_transport": "remote_write", "claude_exporter_instance": "b (old)"},
        "c": {"claude_exporter_transport": "pushgateway"},
        "d": {},
    }
    last = pushed_relabeling(list(hostvars), hostvars)[-1]
    assert last["regex"] == r"claude_code_.+;(a\.lan|b \(old\))"
    assert last["action"] == "drop"


def test_where_all_hosts_push_none_is_left_out() -> None:
    assert [rule["action"] for rule in pushed_relabeling(["d"], {"d": {}}) if "action" in rule] == [
        "drop",
        "drop",
        "labeldrop",
    ]
