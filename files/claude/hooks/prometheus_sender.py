"""Every other event: one line in the journal, and from there to Prometheus.

With an exporter that is all: the daemon reads the journal. In a bundle copied into a project nobody does, so
at the end of a turn and of a session a detached child accounts for it and pushes to a Pushgateway.
``--canary`` appends a synthetic event instead, for whoever checks the whole path; it fails loudly.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from utils.telemetry import detach, journal_input

if "--canary" in sys.argv:
    from utils.journal import append
    from utils.settings import load

    settings = load(sys.argv, os.environ)
    if settings.error:
        sys.exit(settings.error)
    try:
        append(settings, "Canary", {})
    except OSError as error:
        sys.exit(f"the journal in {settings.journal_dir} cannot be written: {error}")
    sys.exit(0)

try:
    settings, hook_input = journal_input()
    sends = settings.active and not settings.exporter and settings.pushgateway.get("url")
    if sends and hook_input["hook_event_name"] in ("Stop", "SessionEnd") and detach():
        from utils.meter.oneshot import run

        run(settings)
finally:
    os._exit(0)  # telemetry never stops anything, whatever went wrong
