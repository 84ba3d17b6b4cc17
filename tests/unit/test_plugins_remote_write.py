"""What is said about a place to write to that would not work, and where its secrets go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from plugins.filter.remote_write import (
    remote_write_config,
    remote_write_fault,
    remote_write_files,
    remote_write_secrets,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

URL = "https://mimir.example.com/api/v1/push"
SECRET = "a-secret-nobody-may-read"
GOOD: dict[str, Any] = {
    "url": URL,
    "name": "mimir",
    "headers": {"X-Scope-OrgID": "fleet"},
    "basic_auth": {"username": "fleet", "password": SECRET},
    "tls_config": {"ca_file": "/etc/ssl/own.crt", "min_version": "TLS12"},
    "queue_config": {"max_shards": 10, "max_backoff": "30s", "retry_on_http_429": True},
}


def test_an_entry_with_everything_is_good() -> None:
    bearer = {"url": URL, "authorization": {"type": "Bearer", "credentials_file": "/etc/token"}}
    assert remote_write_fault([GOOD, bearer, {"url": "http://127.0.0.1:8428/api/v1/write"}]) == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ulr": URL}, "there is no setting ulr; did you mean url?"),
        ({"queue_config": {"max_shard": 3}}, "did you mean queue_config.max_shards?"),
        ({"queue_config": {"max_backoff": "soon"}}, "queue_config.max_backoff is soon: write a duration"),
        ({"queue_config": {"capacity": 0}}, "queue_config.capacity is 0: write a whole number"),
        ({"queue_config": {"min_shards": 5, "max_shards": 2}}, "min_shards is more than max_shards"),
        ({"queue_config": "fast"}, "queue_config holds settings by name"),
        ({"url": "mimir.example.com"}, "url must be an address like"),
        ({"url": "http://mimir.example.com/"}, "would travel to mimir.example.com unencrypted"),
        ({"url": f"https://me:{SECRET}@example.com/"}, "the url holds a user or a password"),
        ({"authorization": {"credentials": SECRET}}, "basic_auth and authorization exclude each other"),
        ({"basic_auth": {"username": "fleet"}}, "basic_auth needs password or password_file, one of them"),
        ({"basic_auth": {"password": SECRET}}, "basic_auth needs a username"),
        ({"basic_auth": {"username": "a", "password_file": "secret"}}, "password_file is no full path"),
        ({"tls_config": {"insecure_skip_verify": True}}, "name the authority in ca_file"),
        (
            {"headers": {"Authorization": f"Bearer {SECRET}"}},
            "who writes belongs in authorization",
        ),
    ],
)
def test_one_sentence_names_what_is_wrong_and_no_secret(change: Mapping[str, Any], says: str) -> None:
    fault = remote_write_fault([{"url": URL}, {**GOOD, **change}])
    assert fault.startswith("entry 2: ")
    assert says in fault
    assert SECRET not in fault


def test_two_entries_of_one_name_are_refused() -> None:
    assert "another entry has the name mimir" in remote_write_fault([GOOD, GOOD])


def test_secrets_go_to_files_and_the_configuration_names_these() -> None:
    bearer = {"url": URL, "authorization": {"credentials": SECRET}}
    entries = [{"url": URL}, GOOD, bearer]
    assert remote_write_secrets(entries) == {"2.password": SECRET, "3.credentials": SECRET}
    written = remote_write_config(entries, directory="/etc/x")
    assert SECRET not in str(written)
    assert written[1]["basic_auth"] == {"username": "fleet", "password_file": "/etc/x/2.password"}
    assert written[2]["authorization"] == {"credentials_file": "/etc/x/3.credentials"}
    assert written[1]["queue_config"] == GOOD["queue_config"]


def test_files_of_the_operators_own_are_found() -> None:
    own = {"url": URL, "basic_auth": {"username": "a", "password_file": "/etc/own"}}
    assert remote_write_files([GOOD, own]) == ["/etc/own"]
