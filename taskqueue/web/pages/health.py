"""The page Health: what `taskqueue doctor` finds, and what to do."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from taskqueue.clock import SystemClock
from taskqueue.operations import doctor
from taskqueue.operations.doctor import Finding
from taskqueue.operations.times import local
from taskqueue.operations.words import count
from taskqueue.web.pages.visit import Visit
from taskqueue.web.tokens import Right


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    verdict: str
    ill: list[Finding]
    well: list[Finding]
    at: str


def health(visit: Visit) -> Response:
    """The page at once, and its findings as soon as they are known: a store that is away takes its time."""
    visit.caller.must(Right.READ_FLEET)
    if not visit.partial:
        return visit.show("health.html", section="/health", loading=True, health=None)
    findings = doctor.examine(visit.app)
    ill = [one for one in findings if not one.well]
    words = f"{count(len(ill), 'thing')} to look at." if ill else "Nothing needs a hand."
    found = Health(verdict=words, ill=ill, well=[one for one in findings if one.well], at=local(SystemClock().micros()))
    return visit.show("health.html", section="/health", loading=False, health=found)
