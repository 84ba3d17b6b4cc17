"""The slash commands' answer: ``report.py meter|blocked|telemetry [--session ID] [--config FILE]``."""

import os
import pwd
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from utils import sources, views
from utils.settings import load

DOCTOR = "/usr/local/bin/claude-code-doctor"
FURTHER = "  claude-code-doctor, in a terminal, looks at all of this host and says what to do."


def main(argv: list[str]) -> str:
    """Return the text for the command line `argv`."""
    settings = load(argv, os.environ)
    user = pwd.getpwuid(os.geteuid()).pw_name
    view = argv[1] if len(argv) > 1 else ""
    session = argv[argv.index("--session") + 1] if "--session" in argv[:-1] else ""
    if view == "telemetry":
        text = views.telemetry(sources.checks(settings))
        return f"{text}\n{FURTHER}" if settings.installed and os.access(DOCTOR, os.X_OK) else text
    if view not in ("meter", "blocked"):
        return "report.py knows meter, blocked and telemetry"
    try:
        points = sources.points(settings)
    except sources.UnavailableError as error:
        if view == "meter":
            return f"No numbers: {error}"
        return f"No counts: {error}\n{views.trail(sources.audit(settings))}"
    if view == "blocked":
        return f"{views.blocked(points, user=user)}\n{views.trail(sources.audit(settings))}"
    return views.meter(
        points, user=user, session=session, day=sources.day(settings, user=user), costs=settings.exporter
    )


if __name__ == "__main__":
    print(main(sys.argv))
