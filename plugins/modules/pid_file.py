#!/usr/bin/python3
"""Ansible module: stops or signals the daemon that a PID file names, on a host without systemd."""

from __future__ import annotations

import os
import pwd
import signal
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: pid_file
short_description: Stops or signals the daemon that a PID file names
description:
  - Debian's init scripts know their daemon by its executable, which root in a container may not look at, and
    wait for its process to vanish, which it never does under a first process that reaps no children. This
    module goes by the PID file and the owner, and takes a zombie for dead.
options:
  path:
    description: The PID file.
    type: path
    required: true
  user:
    description: The user whose process it must be; any other process is left alone.
    type: str
    required: true
  action:
    description: Whether to stop it (TERM, then KILL) or have it read its configuration (HUP).
    type: str
    choices: [stop, reload]
    required: true
  patience:
    description: Seconds that it may take to stop before it is killed.
    type: int
    default: 30
"""

PERIOD = 0.05


def running(pid: int, uid: int) -> bool:
    """Say whether the process lives (a zombie does not) and is the user's."""
    try:
        owner = Path(f"/proc/{pid}").stat().st_uid
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return owner == uid and state != "Z"


def stop(pid: int, uid: int, *, patience: float) -> bool:
    """Stop the process, by force after ``patience`` seconds; return whether it is gone."""
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not running(pid, uid):
                return True
            time.sleep(PERIOD)
    return False


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "action": {"type": "str", "choices": ["stop", "reload"], "required": True},
            "patience": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    path = Path(module.params["path"])
    try:
        pid = int(path.read_text())
        uid = pwd.getpwnam(module.params["user"]).pw_uid
    except (OSError, ValueError, KeyError):
        module.exit_json(changed=False)
    if not running(pid, uid):
        module.exit_json(changed=False)
    if not module.check_mode:
        if module.params["action"] == "reload":
            os.kill(pid, signal.SIGHUP)
        elif stop(pid, uid, patience=module.params["patience"]):
            path.unlink(missing_ok=True)
        else:
            module.fail_json(msg=f"Process {pid} of {path} does not end, not even when killed.")
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
