"""When certificates end: read from their files, for the standard library has no reader of X.509."""

from __future__ import annotations

import datetime as dt
import re
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
UTC_TIME, VERSION = 0x17, 0xA0
"""Tags of DER: a time with two digits of the year, and the optional first field of a certificate."""


def expiries(files: Mapping[str, Path]) -> dict[str, float]:
    """Return the seconds since the epoch at which what each file holds ends to be of use.

    Of several authorities (`ca`) that is the last one's end: while one is followed by another, both are
    trusted. Of a certificate with its chain it is the first end. A file that cannot be read is left out: who
    needs it says so.
    """
    found = {}
    for name, file in files.items():
        try:
            ends = [
                not_after(ssl.PEM_cert_to_DER_cert(text))
                for text in PEM.findall(file.read_text("ascii", "replace"))
            ]
        except (OSError, ValueError, IndexError):
            continue
        if ends:
            found[name] = max(ends) if name == "ca" else min(ends)
    return found


def not_after(certificate: bytes) -> float:
    """Return the end of a certificate in DER (RFC 5280, 4.1), in seconds since the epoch.

    Raises ValueError or IndexError for what is none.
    """
    _, outer, _ = _element(certificate, 0)
    _, start, _ = _element(certificate, outer)
    fields = _elements(certificate, start)
    tag, _, _ = next(fields)
    for _ in range(3 if tag == VERSION else 2):  # serial number, algorithm, issuer
        next(fields)
    _, validity, _ = next(fields)
    times = _elements(certificate, validity)
    next(times)
    tag, start, end = next(times)
    form = "%y%m%d%H%M%SZ" if tag == UTC_TIME else "%Y%m%d%H%M%SZ"
    moment = dt.datetime.strptime(certificate[start:end].decode("ascii"), form)
    return moment.replace(tzinfo=dt.UTC).timestamp()


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """Return an element's tag, and where its content begins and ends."""
    tag, length, start = data[at], data[at + 1], at + 2
    if length >= 0x80:  # so many bytes of length follow
        start, length = start + length - 0x80, int.from_bytes(data[start : start + length - 0x80])
    return tag, start, start + length


def _elements(data: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Yield the elements that follow each other."""
    while True:
        tag, start, at = _element(data, at)
        yield tag, start, at
