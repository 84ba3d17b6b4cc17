"""Where the programs are that tests run beside the system: promtool, amtool and their servers."""

from __future__ import annotations

import shutil
from pathlib import Path

_CACHE = Path(__file__).resolve().parents[2] / ".cache" / "tools" / "usr" / "bin"


def parser() -> str:
    """Return the path of Debian's shfmt: the system's, where the guard looks, else one unpacked beside it."""
    places = ("/usr/bin/shfmt", "/usr/local/bin/shfmt", str(_CACHE / "shfmt"))
    return next((path for path in places if Path(path).exists()), "")


def tool(name: str) -> str:
    """Return the path of a program, from where ./test unpacks them or from PATH; raise FileNotFoundError."""
    found = shutil.which(name, path=str(_CACHE)) or shutil.which(name)
    if found is None:
        message = f"{name} is neither in {_CACHE} nor on PATH: run ./test rules, which fetches it."
        raise FileNotFoundError(message)
    return found
