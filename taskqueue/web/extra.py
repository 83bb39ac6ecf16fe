"""Whether this environment and this system can serve at all. Imports nothing of what it looks for."""

from __future__ import annotations

import importlib.util
import sys

from taskqueue.errors import ConfigurationError

#: what the extra `web` brings, by the names that are imported
NEEDED = ("jinja2", "prometheus_client", "starlette", "uvicorn")


def require() -> None:
    """Raise ConfigurationError, with what to do, unless the web server can be started here."""
    if sys.platform == "win32":
        raise ConfigurationError("the web server needs Linux or macOS")
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"the web server needs {', '.join(missing)}: pip install 'taskqueue-supervisor[web]' brings what it needs"
        )
