"""The controller's store of certificates and passwords."""

from __future__ import annotations

import datetime as dt
import shutil
from typing import TYPE_CHECKING

import bcrypt
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from plugins.action.trust_store import (
    Store,
    Terms,
    add_authority,
    ensure_authority,
    ensure_bundle,
    ensure_host,
    ensure_password,
    refuse,
    switch_authority,
)

if TYPE_CHECKING:
    from pathlib import Path

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TERMS = Terms(ca_days=3650, certificate_days=397, renew_days=60)
NAMES = ["dev-01.example.com", "10.0.0.7"]


def store_at(path: Path, *, check_mode: bool = False) -> Store:
    return Store(path / ".trust", read=lambda file: file.read_bytes(), check_mode=check_mode)


def complete(store: Store, *, now: dt.datetime = NOW, ca_mark: str = "", password_mark: str = "") -> None:
    """Do what a run does."""
    with store.locked():
        authority = ensure_authority(store, TERMS, mark=ca_mark, now=now)
        ensure_bundle(store, authority, now=now)
        ensure_host(store, authority, NAMES, TERMS, now=now)
        rotate = store.rotation_is_new("passwords", password_mark)
        ensure_password(store, "pushgateway", given=None, rotate=rotate)


def certificate(path: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((path / ".trust" / name).read_bytes())


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    complete(store_at(tmp_path))
    again = store_at(tmp_path)
    complete(again)
    assert again.changes == []


def test_check_mode_names_what_it_would_make_and_makes_nothing(tmp_path: Path) -> None:
    store = store_at(tmp_path, check_mode=True)
    complete(store)
    assert {"ca.key", "ca.crt", "hosts/dev-01.example.com.key", "passwords/pushgateway"} <= set(store.changes)
    assert list(tmp_path.iterdir()) == []


def test_only_its_owner_reads_the_store(tmp_path: Path) -> None:
    complete(store_at(tmp_path))
    modes = {path.is_dir(): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {True: 0o700, False: 0o600}


def test_a_file_that_others_can_read_is_closed(tmp_path: Path) -> None:
    complete(store_at(tmp_path))
    (tmp_path / ".trust/ca.key").chmod(0o644)
    again = store_at(tmp_path)
    complete(again)
    assert again.changes == ["ca.key: mode"]
    assert (tmp_path / ".trust/ca.key").stat().st_mode & 0o777 == 0o600


def test_a_certificate_is_the_authoritys_and_names_host_address_and_loopback(tmp_path: Path) -> None:
    complete(store_at(tmp_path))
    host = certificate(tmp_path, "hosts/dev-01.example.com.crt")
    host.verify_directly_issued_by(certificate(tmp_path, "ca.crt"))
    named = host.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert named.get_values_for_type(x509.DNSName) == ["dev-01.example.com", "localhost"]
    assert sorted(str(ip) for ip in named.get_values_for_type(x509.IPAddress)) == [
        "10.0.0.7",
        "127.0.0.1",
        "::1",
    ]
    usage = host.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


@pytest.mark.parametrize(("days", "renewed"), [(397 - 61, False), (397 - 59, True)])
def test_a_certificate_is_renewed_before_it_ends(tmp_path: Path, *, days: int, renewed: bool) -> None:
    complete(store_at(tmp_path))
    later = store_at(tmp_path)
    complete(later, now=NOW + dt.timedelta(days=days))
    assert ("hosts/dev-01.example.com.crt" in later.changes) is renewed
    assert "ca.crt" not in later.changes


def test_a_host_with_another_name_gets_another_certificate(tmp_path: Path) -> None:
    complete(store_at(tmp_path))
    store = store_at(tmp_path)
    with store.locked():
        authority = ensure_authority(store, TERMS, mark="", now=NOW)
        ensure_host(store, authority, [*NAMES, "alias.example.com"], TERMS, now=NOW)
    assert store.changes == ["hosts/dev-01.example.com.key", "hosts/dev-01.example.com.crt"]


def test_a_rotated_authority_signs_anew_and_its_predecessor_stays_trusted(tmp_path: Path) -> None:
    complete(store_at(tmp_path))
    former = (tmp_path / ".trust/ca.crt").read_bytes()
    rotated = store_at(tmp_path)
    complete(rotated, ca_mark="2026-02")
    assert {"ca.crt", "ca-previous.crt", "bundle.crt", "hosts/dev-01.example.com.crt"} <= set(rotated.changes)
    current = (tmp_path / ".trust/ca.crt").read_bytes()
    assert (tmp_path / ".trust/bundle.crt").read_bytes() == current + former
    certificate(tmp_path, "hosts/dev-01.example.com.crt").verify_directly_issued_by(
        certificate(tmp_path, "ca.crt")
    )
    again = store_at(tmp_path)
    complete(again, ca_mark="2026-02")
    assert again.changes == []


def step(path: Path, name: str) -> list[str]:
    """Take the store one step on, as the playbook of rotation does; return what changed."""
    store = store_at(path)
    with store.locked():
        if name == "add":
            add_authority(store, TERMS, now=NOW)
        elif name == "switch":
            switch_authority(store)
        elif name == "finish":
            store.drop("ca-previous.crt")
    complete(store)
    return store.changes


def test_a_rotation_in_steps_never_leaves_a_certificate_that_others_do_not_trust(tmp_path: Path) -> None:
    complete(store_at(tmp_path))
    trust = tmp_path / ".trust"
    first, host = (trust / "ca.crt").read_bytes(), (trust / "hosts/dev-01.example.com.crt").read_bytes()

    assert step(tmp_path, "add") == ["ca-next.key", "ca-next.crt", "bundle.crt"]
    second = (trust / "ca-next.crt").read_bytes()
    assert (trust / "bundle.crt").read_bytes() == first + second
    assert (trust / "hosts/dev-01.example.com.crt").read_bytes() == host
    assert step(tmp_path, "add") == []

    assert {"ca.crt", "ca-previous.crt", "hosts/dev-01.example.com.crt"} <= set(step(tmp_path, "switch"))
    assert (trust / "bundle.crt").read_bytes() == second + first
    certificate(tmp_path, "hosts/dev-01.example.com.crt").verify_directly_issued_by(
        certificate(tmp_path, "ca.crt")
    )
    assert step(tmp_path, "switch") == []

    assert step(tmp_path, "finish") == ["ca-previous.crt: removed", "bundle.crt"]
    assert (trust / "bundle.crt").read_bytes() == second
    assert step(tmp_path, "finish") == []
    assert sorted(path.name for path in trust.glob("ca*")) == ["ca.crt", "ca.key"]


def test_a_switch_that_was_cut_short_is_completed(tmp_path: Path) -> None:
    complete(store_at(tmp_path))
    former = (tmp_path / ".trust/ca.crt").read_bytes()
    step(tmp_path, "add")
    for name in ("ca.key", "ca.crt"):
        (tmp_path / ".trust/ca-previous.crt").write_bytes(former)
        made = (tmp_path / ".trust" / name.replace("ca", "ca-next")).read_bytes()
        (tmp_path / ".trust" / name).write_bytes(made)
        following = tmp_path / f"after-{name}"
        following.mkdir()
        shutil.copytree(tmp_path / ".trust", following / ".trust")
        step(following, "switch")
        bundle = (following / ".trust/bundle.crt").read_bytes()
        assert bundle == (following / ".trust/ca.crt").read_bytes() + former


def test_a_certificate_is_renewed_before_its_time_where_that_is_asked_for(tmp_path: Path) -> None:
    complete(store_at(tmp_path))
    former = certificate(tmp_path, "hosts/dev-01.example.com.crt").serial_number
    store = store_at(tmp_path)
    with store.locked():
        authority = ensure_authority(store, TERMS, mark="", now=NOW)
        ensure_host(store, authority, NAMES, TERMS, now=NOW, renew=True)
    assert certificate(tmp_path, "hosts/dev-01.example.com.crt").serial_number != former


def test_a_password_and_its_hash_last_until_rotation_is_asked_for(tmp_path: Path) -> None:
    complete(store_at(tmp_path))
    password = (tmp_path / ".trust/passwords/pushgateway").read_bytes().strip()
    assert bcrypt.checkpw(password, (tmp_path / ".trust/hashes/pushgateway").read_bytes().strip())
    rotated = store_at(tmp_path)
    complete(rotated, password_mark="leak")
    fresh = (tmp_path / ".trust/passwords/pushgateway").read_bytes().strip()
    assert fresh != password
    assert bcrypt.checkpw(fresh, (tmp_path / ".trust/hashes/pushgateway").read_bytes().strip())


def test_a_given_password_is_hashed_and_never_written(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    with store.locked():
        ensure_password(store, "prometheus", given="mine", rotate=False)
        ensure_password(store, "prometheus", given="mine", rotate=True)
    assert store.changes.count("hashes/prometheus") == 1
    assert bcrypt.checkpw(b"mine", (tmp_path / ".trust/hashes/prometheus").read_bytes().strip())
    assert not (tmp_path / ".trust/passwords/prometheus").exists()


def test_names_that_leave_the_store_and_passwords_bcrypt_would_cut_are_refused() -> None:
    assert refuse({"../x": ["../x"]}, [], {}) == (
        "'../x' can't name a file of the trust store: rename that host or user."
    )
    assert refuse({}, ["u"], {"u": "x" * 73}) == "The password given for u must have 1 to 72 bytes."
    assert refuse({"h": ["h"]}, ["u"], {"u": "x" * 72}) is None
