"""Start the doctor: `python3 -I .../doctor/claude_code_doctor`."""

import importlib
import sys
from pathlib import Path

# Run as a directory, Python looks for modules in this directory alone; the packages stand beside it.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

if __name__ == "__main__":
    sys.exit(importlib.import_module("claude_code_doctor.examination").main(sys.argv[1:]))
