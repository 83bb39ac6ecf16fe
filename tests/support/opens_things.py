"""A module of an application that opens things when it is imported: a thread and a socket."""

from __future__ import annotations

import os
import socket
import threading

from taskqueue import task

LISTENER = socket.create_server(("127.0.0.1", 0))
THREAD = threading.Thread(target=threading.Event().wait, name="of the application", daemon=True)
THREAD.start()
IMPORTED_BY = os.getpid()


@task
def things() -> list[object]:
    """Who imported this module, whether the thread lives there, and the socket's port."""
    return [os.getpid(), IMPORTED_BY, THREAD.is_alive(), LISTENER.getsockname()[1]]
