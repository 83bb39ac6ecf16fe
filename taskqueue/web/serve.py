"""Serving the application: uvicorn with our signals, by itself (`taskqueue web`) or as a child of the supervisor.

What is open when it is told to go (long polls, streams of events) is ended at once, so that nobody waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

from taskqueue.app import App
from taskqueue.errors import ConfigurationError
from taskqueue.settings import binding
from taskqueue.web.application import create
from taskqueue.web.hub import Hub
from taskqueue.web.listener import Listener, listen
from taskqueue.web.metrics import Scrape
from taskqueue.worker.memory import private_memory
from taskqueue.worker.orders import Orders, Stop
from taskqueue.worker.place import Place, drain
from taskqueue.worker.scorecard import State

log = logging.getLogger(__name__)

#: seconds for which a child waits for its predecessor's address, and for which requests may go on after a stop
PATIENCE, GRACE = 8.0, 1
#: whoever looks on stands back behind whoever works (nice(1))
NICE = 5
#: a child says that it lives so often, and is taken for hung after so many seconds without a word
BEAT, HUNG = 1.0, 5.0


def serve(app: App, *, place: Place | None = None, scrape: Scrape | None = None) -> int:
    """Serve at `[web] bind`, or at 127.0.0.1:8321, until told to stop; the exit code.

    `place` is that of a supervisor's child, and `scrape` what its /metrics tells of the host.
    Raises TaskQueueError if the address cannot be had.
    """
    _import_modules(app)
    orders = Orders()
    orders.install()
    try:
        beat(place, app)
        if place is not None:
            os.nice(NICE)
        listener = listen(app.settings.web.bind or binding.DEFAULT, patience=PATIENCE if place else 0.0)
        try:
            _serve(create(app, scrape=scrape), app, listener, orders, place)
        finally:
            listener.close()
    finally:
        orders.restore()
    if place is not None:
        place.scorecard.update(leaving=True, deadline=0.0)
    return 0


def beat(place: Place | None, app: App, *, done: int = 0) -> None:
    """Let a master know that this child turns."""
    if place is not None:
        now = app.clock.monotonic()
        memory = private_memory() // 1024
        place.scorecard.update(state=State.IDLE, since=now, deadline=now + HUNG, done=done, memory=memory)


def _import_modules(app: App) -> None:
    """They say which tasks there are, and what of them is secret. It can be looked at without them, too."""
    try:
        app.import_modules()
    except ConfigurationError as error:
        log.error("%s; tasks cannot be enqueued here", error)


def _serve(made: Starlette, app: App, listener: Listener, orders: Orders, place: Place | None) -> None:
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    config = uvicorn.Config(
        made,
        access_log=False,
        backlog=128,
        # Whoever can write to our socket is a proxy of ours.
        forwarded_allow_ips="*" if listener.socket.family == socket.AF_UNIX else "127.0.0.1,::1",
        lifespan="off",
        log_config=None,
        root_path=app.settings.web.root_path,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        ws="none",
    )
    log.info("web server started", extra={"address": listener.name, "config": str(app.settings.file)})
    if place is not None:
        place.title(listener.name)
    Server(config, hub=made.state.hub, orders=orders, place=place).run(sockets=[listener.socket])
    log.info("web server ended")


class Server(uvicorn.Server):
    """uvicorn, told what to do by `orders` and by the life pipe of a master."""

    def __init__(self, config: uvicorn.Config, *, hub: Hub, orders: Orders, place: Place | None) -> None:
        super().__init__(config)
        self._hub = hub
        self._orders = orders
        self._place = place

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They are ours already."""
        yield

    async def main_loop(self) -> None:
        """Serve until told to stop."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._orders.fd, self._hear)
        if self._place is not None:
            loop.add_reader(self._place.life, self._feel, self._place)
        beating = asyncio.create_task(self._beats())
        try:
            await super().main_loop()
        finally:
            beating.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let go of everybody."""
        self._hub.close()
        await super().shutdown(sockets)

    def _hear(self) -> None:
        self._orders.obey()
        self.should_exit = self.should_exit or self._orders.stop is not Stop.NO
        self.force_exit = self._orders.stop is Stop.NOW

    def _feel(self, place: Place) -> None:
        if not drain(place.life):
            log.warning("the supervisor is gone; the web server leaves")
            asyncio.get_running_loop().remove_reader(place.life)
            self.should_exit = True

    async def _beats(self) -> None:
        while True:
            beat(self._place, self._hub.app, done=self.server_state.total_requests)
            await asyncio.sleep(BEAT)
