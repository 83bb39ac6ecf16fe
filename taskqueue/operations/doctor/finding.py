"""What an examination finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from sqlalchemy.exc import DBAPIError

from taskqueue.errors import TaskQueueError


class Finding(msgspec.Struct, frozen=True):
    """Something that was looked at. `advice` is what to do where it is not well."""

    subject: str
    well: bool
    text: str
    advice: str = ""


Examination = Callable[[], Iterator[Finding]]


def well(subject: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(subject, True, text)  # noqa: FBT003  # the very word that is meant


def ill(subject: str, text: str, advice: str) -> Finding:
    """Something to do."""
    return Finding(subject, False, text, advice)  # noqa: FBT003  # the very word that is meant


def examined(subject: str, examination: Examination) -> Iterator[Finding]:
    """What it finds; an error that ends it is a finding too, and ends nothing else."""
    try:
        yield from examination()
    except TaskQueueError as error:
        yield Finding(subject, False, str(error).removeprefix(f"{subject}: "))  # noqa: FBT003  # the error says what to do
    except DBAPIError as error:
        # As when a service of the cloud leaves out what every server of that kind has.
        yield ill(subject, f"could not be examined further: {' '.join(str(error.orig).split())}", "please report this")
