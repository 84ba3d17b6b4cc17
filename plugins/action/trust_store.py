"""Ansible action: keeps the controller's store of an internal CA, hosts' certificates and service passwords.

It runs on the controller and connects to nothing. Files that ansible-vault has encrypted are read through
Ansible's own loader; what is made anew is written in plain text with mode 0600.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import ipaddress
import json
import os
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import bcrypt
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

BCRYPT_ROUNDS = 10
BCRYPT_LIMIT = 72  # bytes of a password that bcrypt looks at
COMMON_NAME_LIMIT = 64  # RFC 5280, ub-common-name
LOOPBACK = ("localhost", "127.0.0.1", "::1")
STEPS = ["", "add", "switch", "finish", "passwords", "certificates"]
"""What a rotation does to the store, one at a time; between them the hosts take up what is new."""
ORGANISATION = "Claude Code Prometheus Observability"


class Authority(NamedTuple):
    """A certificate authority: its key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


class Terms(NamedTuple):
    """How long things live, in days, and when they are renewed before their end."""

    ca_days: int
    certificate_days: int
    renew_days: int

    def of_host(self, host: str, certificate_days: Mapping[str, int], renew_days: Mapping[str, int]) -> Terms:
        """Return the terms of one host, whose days are its own where they are given."""
        return self._replace(
            certificate_days=int(certificate_days.get(host, self.certificate_days)),
            renew_days=int(renew_days.get(host, self.renew_days)),
        )


def pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as unencrypted PKCS 8 in PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate in PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def load_key(data: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a private key from PEM; raises ValueError for any but an elliptic one, which is all we make."""
    key = serialization.load_pem_private_key(data, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        msg = "not a key of an elliptic curve"
        raise ValueError(msg)
    return key


def subject(common_name: str) -> x509.Name:
    """Return the distinguished name of one of our certificates."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name[:COMMON_NAME_LIMIT]),
        ]
    )


def alternative_names(names: Sequence[str]) -> list[x509.GeneralName]:
    """Turn names and addresses into subject alternative names: loopback too, sorted, without doubles."""
    result: list[x509.GeneralName] = []
    for name in sorted({*names, *LOOPBACK}):
        try:
            result.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            result.append(x509.DNSName(name))
    return result


def new_authority(terms: Terms, *, now: dt.datetime) -> Authority:
    """Make a certificate authority that may sign hosts' certificates and no further authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = subject(f"internal CA {now:%Y-%m-%d} {secrets.token_hex(4)}")
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=terms.ca_days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, certificate)


def new_certificate(
    authority: Authority,
    public: CertificatePublicKeyTypes,
    names: Sequence[str],
    terms: Terms,
    *,
    now: dt.datetime,
) -> x509.Certificate:
    """Sign a host's certificate for ``names`` (the first is its common name), for servers and clients."""
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    end = min(now + dt.timedelta(days=terms.certificate_days), authority.certificate.not_valid_after_utc)
    issuer = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder()
        .subject_name(subject(names[0]))
        .issuer_name(authority.certificate.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName(alternative_names(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def is_good(
    certificate: x509.Certificate,
    authority: Authority,
    names: Sequence[str],
    terms: Terms,
    *,
    now: dt.datetime,
) -> bool:
    """Say whether a host's certificate is this authority's, names what it must, and is not about to end."""
    try:
        certificate.verify_directly_issued_by(authority.certificate)
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return list(named) == alternative_names(names) and not is_ending(certificate, terms, now=now)


def is_ending(certificate: x509.Certificate, terms: Terms, *, now: dt.datetime) -> bool:
    """Say whether a certificate ends within the days of renewal."""
    return certificate.not_valid_after_utc < now + dt.timedelta(days=terms.renew_days)


class Store:
    """The directory of the store.

    It holds ``ca.{crt,key}``, ``ca-previous.crt``, while it rotates ``ca-next.{crt,key}``, ``bundle.crt``,
    ``hosts/``, ``passwords/``, ``hashes/`` and ``rotation.json``. ``read`` returns a file's plain bytes;
    ``changes`` names what was made, or in check mode would be.
    """

    def __init__(self, directory: Path, *, read: Callable[[Path], bytes], check_mode: bool) -> None:
        self.directory = directory
        self.changes: list[str] = []
        self._read = read
        self._check_mode = check_mode

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the directories and hold the store for one writer."""
        for directory in (
            self.directory,
            *(self.directory / part for part in ("hosts", "passwords", "hashes")),
        ):
            self._directory(directory)
        if self._check_mode:
            yield
            return
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _directory(self, path: Path) -> None:
        exists = path.is_dir()
        if exists and path.stat().st_mode & 0o777 == 0o700:
            return
        self.changes.append(f"{path.name}/")
        if not self._check_mode:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)

    def get(self, name: str) -> bytes | None:
        """Return a file's content, decrypted, or None; closes the file to others where it was open."""
        path = self.directory / name
        if not path.is_file():
            return None
        if path.stat().st_mode & 0o777 != 0o600:
            self.changes.append(f"{name}: mode")
            if not self._check_mode:
                path.chmod(0o600)
        return self._read(path)

    def put(self, name: str, content: bytes) -> None:
        """Replace a file of the store, whole or not at all, readable by its owner alone."""
        self.changes.append(name)
        if self._check_mode:
            return
        path = self.directory / name
        fresh = path.with_name(f".{path.name}.new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)

    def drop(self, name: str) -> None:
        """Remove a file of the store that is there."""
        path = self.directory / name
        if not path.is_file():
            return
        self.changes.append(f"{name}: removed")
        if not self._check_mode:
            path.unlink()

    def rotation_is_new(self, what: str, mark: str) -> bool:
        """Say whether ``mark`` differs from the one under which ``what`` was last made, and remember it."""
        marks: dict[str, str] = json.loads(self.get("rotation.json") or b"{}")
        if marks.get(what, "") == mark:
            return False
        self.put("rotation.json", json.dumps({**marks, what: mark}, sort_keys=True).encode() + b"\n")
        return True


def ensure_authority(store: Store, terms: Terms, *, mark: str, now: dt.datetime) -> Authority:
    """Return the store's authority; makes one where there is none, it ends, or a rotation is asked for.

    The former certificate stays in ``ca-previous.crt``: both are trusted while hosts change over.
    """
    rotate = store.rotation_is_new("ca", mark)
    certificate_pem, key_pem = store.get("ca.crt"), store.get("ca.key")
    if certificate_pem and key_pem:
        authority = Authority(load_key(key_pem), x509.load_pem_x509_certificate(certificate_pem))
        if not rotate and not is_ending(authority.certificate, terms, now=now):
            return authority
        store.put("ca-previous.crt", certificate_pem)
    authority = new_authority(terms, now=now)
    store.put("ca.key", pem_key(authority.key))
    store.put("ca.crt", pem(authority.certificate))
    return authority


def add_authority(store: Store, terms: Terms, *, now: dt.datetime) -> None:
    """Make the next authority, which is trusted beside the present one and signs nothing yet."""
    if store.get("ca-next.crt") and store.get("ca-next.key"):
        return
    authority = new_authority(terms, now=now)
    store.put("ca-next.key", pem_key(authority.key))
    store.put("ca-next.crt", pem(authority.certificate))


def switch_authority(store: Store) -> None:
    """Make the next authority the present one; what a run left half done is done by the one after it."""
    certificate_pem, key_pem = store.get("ca-next.crt"), store.get("ca-next.key")
    if not certificate_pem or not key_pem:
        return
    present = store.get("ca.crt")
    if present != certificate_pem:
        if present:
            store.put("ca-previous.crt", present)
        store.put("ca.key", key_pem)
        store.put("ca.crt", certificate_pem)
    store.drop("ca-next.key")
    store.drop("ca-next.crt")


def ensure_bundle(store: Store, authority: Authority, *, now: dt.datetime) -> None:
    """Write what hosts shall trust, ``bundle.crt``: the authority, its successor and its predecessor.

    The predecessor is trusted until it ends, or is dropped.
    """
    bundle = pem(authority.certificate) + (store.get("ca-next.crt") or b"")
    previous = store.get("ca-previous.crt")
    if previous and x509.load_pem_x509_certificate(previous).not_valid_after_utc > now:
        bundle += previous
    if store.get("bundle.crt") != bundle:
        store.put("bundle.crt", bundle)


def ensure_host(
    store: Store,
    authority: Authority,
    names: Sequence[str],
    terms: Terms,
    *,
    now: dt.datetime,
    renew: bool = False,
) -> None:
    """Make or renew the key and certificate of a host; its inventory name is the first of ``names``.

    ``renew``: also where they are good.
    """
    key_name, certificate_name = f"hosts/{names[0]}.key", f"hosts/{names[0]}.crt"
    key_pem, certificate_pem = store.get(key_name), store.get(certificate_name)
    if key_pem and certificate_pem:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        mine = certificate.public_key() == load_key(key_pem).public_key()
        if mine and not renew and is_good(certificate, authority, names, terms, now=now):
            return
    key = ec.generate_private_key(ec.SECP256R1())
    store.put(key_name, pem_key(key))
    store.put(certificate_name, pem(new_certificate(authority, key.public_key(), names, terms, now=now)))


def ensure_password(store: Store, user: str, *, given: str | None, rotate: bool) -> None:
    """Make a user's password unless one is given, and keep a bcrypt hash that lasts between runs."""
    if given is None:
        kept = store.get(f"passwords/{user}")
        password = kept.strip() if kept and not rotate else secrets.token_urlsafe(32).encode()
        if kept is None or rotate:
            store.put(f"passwords/{user}", password + b"\n")
    else:
        password = given.encode()
    hashed = store.get(f"hashes/{user}")
    if not hashed or not bcrypt.checkpw(password, hashed.strip()):
        store.put(f"hashes/{user}", bcrypt.hashpw(password, bcrypt.gensalt(BCRYPT_ROUNDS)) + b"\n")


def refuse(
    hosts: Mapping[str, Sequence[str]], users: Sequence[str], passwords: Mapping[str, str]
) -> str | None:
    """Return one sentence about the first input that can't be used, or None."""
    for name in [*hosts, *users]:
        if "/" in name or name.startswith("."):
            return f"{name!r} can't name a file of the trust store: rename that host or user."
    for user, password in passwords.items():
        if not password or len(password.encode()) > BCRYPT_LIMIT:
            return f"The password given for {user} must have 1 to {BCRYPT_LIMIT} bytes."
    return None


class ActionModule(ActionBase):  # type: ignore[misc] # ansible-core carries no types
    """The action ``trust_store``."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Bring the store to its state; the result names what changed and carries no secret."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            {
                "directory": {"type": "path", "required": True},
                "hosts": {"type": "dict", "required": True},
                "users": {"type": "list", "elements": "str", "required": True},
                "passwords": {"type": "dict", "default": {}, "no_log": True},
                "ca_days": {"type": "int", "default": 3650},
                "certificate_days": {"type": "int", "default": 397},
                "renew_days": {"type": "int", "default": 60},
                "hosts_certificate_days": {"type": "dict", "default": {}},
                "hosts_renew_days": {"type": "dict", "default": {}},
                "ca_rotation": {"type": "str", "default": ""},
                "password_rotation": {"type": "str", "default": "", "no_log": False},
                "step": {"type": "str", "choices": STEPS, "default": ""},
            }
        )
        if fault := refuse(args["hosts"], args["users"], args["passwords"]):
            raise AnsibleActionFail(fault)

        def read(path: Path) -> bytes:
            text = self._loader.get_text_file_contents(str(path))
            return str(text[0] if isinstance(text, tuple) else text).encode()

        store = Store(Path(args["directory"]), read=read, check_mode=bool(self._task.check_mode))
        terms = Terms(args["ca_days"], args["certificate_days"], args["renew_days"])
        days = [args["hosts_certificate_days"], args["hosts_renew_days"]]
        now = dt.datetime.now(tz=dt.UTC)
        try:
            with store.locked():
                step = args["step"]
                if step == "add":
                    ensure_authority(store, terms, mark=args["ca_rotation"], now=now)
                    add_authority(store, terms, now=now)
                elif step == "switch":
                    switch_authority(store)
                elif step == "finish":
                    store.drop("ca-previous.crt")
                authority = ensure_authority(store, terms, mark=args["ca_rotation"], now=now)
                ensure_bundle(store, authority, now=now)
                for host, names in args["hosts"].items():
                    own = terms.of_host(host, *days)
                    ensure_host(store, authority, names, own, now=now, renew=step == "certificates")
                rotate = store.rotation_is_new("passwords", args["password_rotation"])
                rotate = rotate or step == "passwords"
                for user in args["users"]:
                    ensure_password(store, user, given=args["passwords"].get(user), rotate=rotate)
        except (OSError, ValueError) as error:
            message = f"The trust store {store.directory} can't be used: {error}. Repair or remove that file."
            raise AnsibleActionFail(message) from error
        result.update(changed=bool(store.changes), made=store.changes)
        return result
