"""PostToolUse and PostToolUseFailure: one line in the journal."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from utils.telemetry import journal_input

try:
    journal_input()
finally:
    os._exit(0)  # telemetry never stops a tool, whatever went wrong
