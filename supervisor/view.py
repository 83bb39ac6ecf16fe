"""The fleet as people see it: a snapshot for `status` and for metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from supervisor.child import Child
from supervisor.fleet import Fleet, Pool
from supervisor.slot import Paused, Slot
from taskqueue import snapshot
from taskqueue.snapshot import Activity, SlotState
from taskqueue.worker.scorecard import Card, State

_ACTIVITIES: dict[State, Activity] = {
    State.BOOT: "booting",
    State.IDLE: "idle",
    State.RUNNING: "running",
    State.PAUSED: "paused",
    State.STOPPING: "stopping",
}


class View:
    """Draws a fleet at one moment (monotonic `now`); `paused_queues` as the keeper told them."""

    def __init__(self, fleet: Fleet, now: float, *, paused_queues: frozenset[str]) -> None:
        self._fleet = fleet
        self._now = now
        self._paused_queues = paused_queues

    def pools(self) -> tuple[snapshot.Pool, ...]:
        """All pools."""
        return tuple(map(self._pool, self._fleet.pools.values()))

    def _pool(self, pool: Pool) -> snapshot.Pool:
        queues = [
            snapshot.Pause(scope="queue", by=f"the database ({name})")
            for name in pool.wish.queues
            if name in self._paused_queues
        ]
        return snapshot.Pool(
            name=pool.name,
            kind=pool.wish.kind,
            queues=pool.wish.queues,
            wanted=pool.wanted,
            configured=pool.wish.workers,
            scaled=pool.scaled,
            paused=(*pauses("pool", pool.paused), *queues),
            slots=tuple(self._slot(slot, child) for slot, child in self._places(pool)),
        )

    def _places(self, pool: Pool) -> Iterator[tuple[Slot | None, Child | None]]:
        """Slots in order, each with its processes; then the processes that have left theirs."""
        for _, slot in sorted(pool.slots.items()):
            children = slot.children
            yield slot, children[0] if children else None
            yield from ((slot, successor) for successor in children[1:])
        yield from ((None, child) for child in self._fleet.leavers if child.pool == pool.name)

    def _slot(self, slot: Slot | None, child: Child | None) -> snapshot.Slot:
        card = child.card if child else None
        running = card is not None and card.state is State.RUNNING and bool(card.task_id)
        return snapshot.Slot(
            name=slot.name if slot else cast("Child", child).name,
            pool=slot.pool if slot else cast("Child", child).pool,
            index=slot.index if slot else int(cast("Child", child).name.rpartition("/")[2]),
            state=_state(slot, child),
            pid=child.pid if child else None,
            activity=_ACTIVITIES[card.state] if card else "",
            task_id=card.task_id if card and running else "",
            task_name=card.task_name if card and running else "",
            task_age=max(0.0, self._now - card.since) if card and running else None,
            age=self._now - child.started if child else None,
            done=card.done if card else 0,
            restarts=slot.restarts if slot else 0,
            memory=card.memory * 1024 if card and card.memory else None,
            paused=_slot_pauses(slot, card),
            retry_in=max(0.0, slot.due - self._now) if slot and child is None and not slot.fatal else None,
            note=self._note(slot, child),
        )

    def _note(self, slot: Slot | None, child: Child | None) -> str:
        if child is not None and child.why:
            return child.why
        if slot is None or not slot.note or (child is not None and child is not slot.current):
            return ""
        return f"{slot.note} {_ago(self._now - slot.noted_at)} ago"


def pauses(scope: str, paused: Paused | None) -> tuple[snapshot.Pause, ...]:
    """The pause as people see it, if there is one."""
    if paused is None:
        return ()
    return (snapshot.Pause(scope=scope, by=paused.by, since=paused.since),)  # type: ignore[arg-type]  # as it is called


def _slot_pauses(slot: Slot | None, card: Card | None) -> tuple[snapshot.Pause, ...]:
    here = (snapshot.Pause(scope="slot", by="signal"),) if card is not None and card.paused else ()
    return (*(pauses("slot", slot.paused) if slot else ()), *here)


def _state(slot: Slot | None, child: Child | None) -> SlotState:
    if child is None:
        return "fatal" if slot is not None and slot.fatal else "down"
    if slot is None or child.standing.rung:
        return "stopping"
    return "up" if child.up else "boot"


def _ago(seconds: float) -> str:
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
