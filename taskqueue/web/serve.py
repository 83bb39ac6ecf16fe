"""Serving the application: uvicorn on our address, with our logging."""

from __future__ import annotations

import socket
from pathlib import Path

import uvicorn

from taskqueue.app import App
from taskqueue.errors import TaskQueueError
from taskqueue.settings.binding import Bind
from taskqueue.web.application import create


def serve(app: App, bind: Bind) -> int:
    """Serve until TERM or INT; the exit code. Raises TaskQueueError if the address cannot be had."""
    listener = listen(bind)
    config = uvicorn.Config(
        create(app),
        log_config=None,
        access_log=False,
        server_header=False,
        root_path=app.settings.web.root_path,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listener])
    return 0


def listen(bind: Bind) -> socket.socket:
    """A socket that listens there."""
    try:
        if bind.path is not None:
            return _unix(bind.path)
        family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
        return socket.create_server((bind.host, bind.port), family=family, backlog=128)
    except OSError as error:
        raise TaskQueueError(f"cannot listen at {bind}: {error.strerror}; choose another [web] bind") from None


def _unix(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)
    made.bind(str(path))
    path.chmod(0o600)
    made.listen(128)
    return made
