"""Errors of databases as errors of ours: the one place that translates them (P16, P19)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from taskqueue.database.dialects import Dialect, Failure
from taskqueue.errors import BrokerUnavailable, ConfigurationError, TaskQueueError


class StoreBusy(BrokerUnavailable):
    """Another writer was in the way. `Database.turn` tries again."""


class StoreUnprepared(BrokerUnavailable):
    """Our tables were there and are not any more. The next use looks for them."""


_CLASSES: dict[Failure, type[TaskQueueError]] = {
    Failure.BUSY: StoreBusy,
    Failure.UNAVAILABLE: BrokerUnavailable,
    Failure.UNPREPARED: StoreUnprepared,
    Failure.MISCONFIGURED: ConfigurationError,
}


class Failures:
    """Translates for one database, which is called `name` in the texts."""

    def __init__(self, dialect: Dialect, name: str) -> None:
        self._dialect, self._name = dialect, name
        #: it has answered this process once: what looks like a wrong configuration from now on is an outage (P15)
        self.worked = False

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise a driver's error as ours, unless it is about a statement and not about the store."""
        try:
            yield
        except DBAPIError as error:
            understood = self.understand(error.orig or error)
            if understood is None:
                raise
            raise understood from error

    def understand(self, error: BaseException) -> TaskQueueError | None:
        """The error to raise instead, with one line that says what to do; None if it is best left as it is."""
        found = self._dialect.diagnose(error)
        kind = _CLASSES.get(found.failure)
        if kind is ConfigurationError and self.worked:
            kind = BrokerUnavailable
        return kind(f"{self._name}: {found.text}") if kind else None
