"""The checks of what is kept on disk: the journals' place, the ledger, and the room for both."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from claude_code_doctor.finding import either, fail, ok, unseen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from claude_code_doctor.finding import Finding
    from claude_code_doctor.site import Host, Site

DIRECTORY_MODE = 0o3773
JOURNAL = re.compile(r"^(\d+)(?:\.[^/]+)?\.jsonl$")
MIB = 1 << 20
# Opened by anybody else, SQLite would leave files beside the ledger that the exporter could not write.
CHECK = """
import os, sqlite3, sys
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[3]))
ledger = sqlite3.connect(f"file:{sys.argv[1]}?mode=rw", uri=True, timeout=20)
print(ledger.execute("PRAGMA quick_check(1)").fetchone()[0])
"""


def examine(host: Host) -> Iterator[Finding]:
    """Yield what was found."""
    site = host.site
    journals = Path(site.journal_dir)
    ledger = journals.parent / "ledger/ledger.sqlite"
    yield _place(site)
    yield _owners(host)
    yield _ledger(ledger, site.exporter_user) if host.root else unseen("ledger", "only root may look")
    yield disk([path for path in (journals, ledger.parent) if path.exists()], least=site.least_free_mib)


def _place(site: Site) -> Finding:
    name, path = "journal-directory", Path(site.journal_dir)
    try:
        status = path.stat()
    except OSError as error:
        return fail(name, f"{path}: {error.strerror}")
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    return place(str(path), stat.S_IMODE(status.st_mode), owner, wanted=site.exporter_user)


def place(path: str, mode: int, owner: str, *, wanted: str) -> Finding:
    """Judge the directory of journals by its mode and its owner's name."""
    problems = [f"{path} has mode {mode:o} instead of {DIRECTORY_MODE:o}"] if mode != DIRECTORY_MODE else []
    problems += [f"{path} belongs to {owner} instead of {wanted}"] if owner != wanted else []
    return either("journal-directory", problems, f"{path}, {mode:o}, of {owner}")


def _owners(host: Host) -> Finding:
    """Judge whether each journal belongs to the user whose name it has; that needs root."""
    name = "journal-files"
    if not host.root:
        path = Path(host.site.journal_dir, f"{os.geteuid()}.jsonl")
        if path.exists() and not os.access(path, os.W_OK):
            return fail(name, f"{path} cannot be written by you")
        return ok(name, f"{path} can be written by you")
    problems, count = [], 0
    try:
        entries = sorted(Path(host.site.journal_dir).iterdir())
    except OSError:
        entries = []
    for path in entries:
        found = JOURNAL.match(path.name)
        if not found:
            continue
        try:
            status = path.lstat()
        except OSError:
            continue  # rotated meanwhile
        count += 1
        if not stat.S_ISREG(status.st_mode) or status.st_uid != int(found[1]):
            problems.append(f"{path} is not a file of user {found[1]}")
        elif not status.st_mode & stat.S_IWUSR or not status.st_mode & stat.S_IRGRP:
            problems.append(f"{path} has mode {stat.S_IMODE(status.st_mode):o} instead of 640")
    return either(name, problems, f"{count} journals, each of its own user")


def _ledger(path: Path, user: str) -> Finding:
    name = "ledger"
    if not path.exists():
        return fail(name, f"{path} is missing")
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return fail(name, f"there is no user {user}")
    command = [sys.executable, "-I", "-c", CHECK, str(path), str(account.pw_gid), str(account.pw_uid)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return fail(name, f"{path} cannot be read: {error}")
    said = done.stdout.strip()
    if done.returncode or said != "ok":
        return fail(name, f"{path}: {said or (done.stderr.strip().splitlines() or ['no answer'])[-1]}")
    return ok(name, f"{path} is whole")


def disk(paths: list[Path], *, least: int) -> Finding:
    """Judge the free space and the free files of the file systems that hold `paths`; `least` is in MiB."""
    problems, seen = [], []
    for path in paths:
        free = shutil.disk_usage(path).free / MIB
        status = os.statvfs(path)
        seen.append(f"{path} has {free:.0f} MiB free")
        if free < least:
            problems.append(f"{path} has {free:.0f} MiB free and needs {least}")
        if status.f_files and not status.f_favail:
            problems.append(f"{path} can hold no more files")
    return either("disk", problems, "; ".join(seen))
