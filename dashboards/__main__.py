"""Renders the dashboards to files/dashboards, or says with --check that they are not what the code says."""

from __future__ import annotations

import argparse
import sys

from dashboards.render import TARGET, rendered, stale


def main() -> int:
    """Render, or check; return the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, name what is out of date")
    if parser.parse_args().check:
        names = stale(TARGET)
        if names:
            sys.stderr.write(f"out of date: {', '.join(names)}; run python3 -m dashboards\n")
        return 1 if names else 0
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, content in rendered().items():
        (TARGET / name).write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
