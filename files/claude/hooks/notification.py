"""Notification: one line in the journal, and said aloud or shown where that is configured."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from utils.telemetry import detach, journal_input

try:
    settings, hook_input = journal_input()
    if settings.active and settings.notification.get("engine", "off") != "off" and detach():
        from utils.voice import announce

        announce(settings.notification, hook_input, state_dir=settings.state_dir)
finally:
    os._exit(0)  # telemetry never stops anything, whatever went wrong
