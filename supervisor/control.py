"""The control socket: how `supervisor status`, `pause`, `scale`, ... reach the master.

A stream socket in the file system that only its owner and root can open (P19). A client writes requests, one JSON
object a line, and reads as many answers. Each request is answered before the next one of its connection is read, and
the master does one thing at a time: who waits for an answer knows that the command is done, so commands have an exact
order, which signals have not (P6).

The master has one thread, so nothing here waits, and nothing is raised into its loop: sockets do not block, what a
client can make us keep is bounded, and a client that does not finish its line or read its answer is dropped.
"""

from __future__ import annotations

import json
import logging
import selectors
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from supervisor.address import Address
from supervisor.request import Peer, Request, owners, peer_of, request_of
from taskqueue.clock import Clock, SystemClock
from taskqueue.errors import TaskQueueError
from taskqueue.masking import mask_url

log = logging.getLogger(__name__)

Handler = Callable[[Request, Peer], dict[str, Any]]
#: how long a client may take over its line or its answer, in seconds, and how many of them there may be
PATIENCE, MOST_CLIENTS = 10.0, 256
#: the longest request, and how much is read at once, in bytes
LONGEST, CHUNK = 64 * 1024, 16 * 1024
#: connections that are taken at once, and how long none is when there are no descriptors left, in seconds
BATCH, PAUSE = 32, 1.0


class _Client:
    """One connection: what has come in and is not done yet, and what is still to go out."""

    def __init__(self, connection: socket.socket, now: float) -> None:
        self.connection = connection
        self.fd = connection.fileno()
        self.peer = peer_of(connection)
        self.incoming = bytearray()
        self.outgoing = memoryview(b"")
        #: no more is read from it
        self.last = False
        self.deadline = now + PATIENCE

    @property
    def has_work(self) -> bool:
        """Whether it is our turn, as soon as its socket takes an answer."""
        return bool(self.outgoing) or b"\n" in self.incoming

    @property
    def too_long(self) -> bool:
        """Whether its line is."""
        return (self.incoming.find(b"\n") if b"\n" in self.incoming else len(self.incoming)) > LONGEST


class Control:
    """The socket at `path`, served by the loop of `selector`. `handler` does what is asked and answers at once.

    The loop gives every key whose `data` is this object to `ready`, waits no longer than `due` says, and calls `tick`.
    """

    def __init__(
        self, path: Path, selector: selectors.BaseSelector, handler: Handler, *, clock: Clock | None = None
    ) -> None:
        self._address = Address(path)
        self._selector = selector
        self._handler = handler
        self._clock = clock or SystemClock()
        self._listener: socket.socket | None = None
        self._clients: dict[int, _Client] = {}
        #: until when no connection is taken
        self._shut_until: float | None = None

    def open(self) -> None:
        """Listen. Raises ConfigurationError if there can be no socket, TaskQueueError if another supervisor has it."""
        self._listener = self._address.listen()
        owners()
        self._selector.register(self._listener, selectors.EVENT_READ, self)

    def close(self) -> None:
        """Drop all clients and remove the socket's file, if it is still ours. May be repeated."""
        for client in list(self._clients.values()):
            self._drop(client)
        if self._listener is not None:
            self._address.remove()
            if self._shut_until is None:
                self._selector.unregister(self._listener)
            self._listener.close()
        self._listener, self._shut_until = None, None

    def fds(self) -> list[int]:
        """Descriptors that a forked child must close, or a client would never see our end of its connection close."""
        listener = [] if self._listener is None else [self._listener.fileno()]
        return [*listener, *self._clients]

    def ready(self, key: selectors.SelectorKey) -> None:
        """Do what can be done at once for one of our sockets that the selector found ready."""
        if self._listener is not None and key.fd == self._listener.fileno():
            self._accept(self._listener)
        elif (client := self._clients.get(key.fd)) is not None:
            try:
                self._serve(client)
            except OSError:  # it went away
                self._drop(client)

    def due(self) -> float | None:
        """When `tick` has something to do, by the monotonic clock; None: never, as things are."""
        times = [client.deadline for client in self._clients.values()]
        return min(times if self._shut_until is None else [*times, self._shut_until], default=None)

    def tick(self, now: float) -> None:
        """Drop the clients that took too long."""
        for client in [client for client in self._clients.values() if now >= client.deadline]:
            self._drop(client)
        if self._listener is not None and self._shut_until is not None and now >= self._shut_until:
            self._shut_until = None
            self._selector.register(self._listener, selectors.EVENT_READ, self)

    def _accept(self, listener: socket.socket) -> None:
        for number in range(BATCH):
            try:
                connection, _address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                # A further call fails so whether or not somebody waits; then the selector says so again.
                if number == 0:
                    self._have_no_room(listener, error)
                return
            if len(self._clients) >= MOST_CLIENTS:
                self._drop_the_quietest()
            self._admit(connection)

    def _admit(self, connection: socket.socket) -> None:
        connection.settimeout(0)
        try:
            self._selector.register(connection, selectors.EVENT_READ, self)
        except OSError:  # the kernel has no room to watch it
            connection.close()
            return
        self._clients[connection.fileno()] = _Client(connection, self._clock.monotonic())

    def _have_no_room(self, listener: socket.socket, error: OSError) -> None:
        """No descriptor is left. The listener stays ready, and the loop would never rest if nothing were done."""
        if self._clients:
            self._drop_the_quietest()
            return
        log.warning("the control socket takes no connection", extra={"error": error.strerror})
        self._selector.unregister(listener)
        self._shut_until = self._clock.monotonic() + PAUSE

    def _drop_the_quietest(self) -> None:
        self._drop(min(self._clients.values(), key=lambda client: client.deadline))

    def _drop(self, client: _Client) -> None:
        if self._clients.pop(client.fd, None) is None:
            return  # what it asked for has closed everything
        self._selector.unregister(client.connection)
        client.connection.close()

    def _serve(self, client: _Client) -> None:
        """Send what is left, or do the next line: one step, so that every client has its turn."""
        if not client.has_work and not self._receive(client):
            self._drop(client)
            return
        if not client.outgoing:
            self._take_up(client)
        if client.outgoing:
            self._send(client)
        if client.last and not client.outgoing:
            self._drop(client)
            return
        # While it has something of ours to read, or lines that wait, no more is read from it.
        events = selectors.EVENT_WRITE if client.has_work else selectors.EVENT_READ
        self._selector.modify(client.connection, events, self)

    def _receive(self, client: _Client) -> bool:
        """Read a little; False at its end. A line without an end is no request then."""
        try:
            found = client.connection.recv(CHUNK)
        except BlockingIOError:
            return True
        client.incoming += found
        return bool(found)

    def _take_up(self, client: _Client) -> None:
        """Do the next line, if there is one, and have its answer to send."""
        if client.too_long:
            client.last = True
            client.outgoing = memoryview(_refusal(f"no request: the line has more than {LONGEST:,} bytes"))
        elif client.has_work:
            line, _, rest = client.incoming.partition(b"\n")
            client.incoming = rest
            client.outgoing = memoryview(self._done(bytes(line), client.peer))

    def _done(self, line: bytes, peer: Peer) -> bytes:
        """Do what a line asks for; the answer. Nothing that goes wrong in it may end the master."""
        try:
            return _encoded({"ok": True, **self._handler(request_of(line), peer)})
        except TaskQueueError as error:
            return _refusal(str(error))
        except Exception as error:
            log.exception("a request could not be done")
            return _refusal(f"unexpected {type(error).__name__}; this is a bug: the supervisor's log says where")

    def _send(self, client: _Client) -> None:
        try:
            sent = client.connection.send(client.outgoing)
        except BlockingIOError:
            return
        client.outgoing = client.outgoing[sent:]
        if not client.outgoing:
            client.deadline = self._clock.monotonic() + PATIENCE


def _refusal(text: str) -> bytes:
    return _encoded({"ok": False, "error": mask_url(text)})


def _encoded(answer: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(answer) + b"\n"
    except UnicodeEncodeError:  # a file name that is no text, for instance; the other facts are still wanted
        return json.dumps(msgspec.to_builtins(answer)).encode() + b"\n"
