"""What operators ask for through the socket, each done at once: it changes what is wanted, and the plan makes it so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from supervisor.fleet import Fleet, Pool
from supervisor.request import Peer, Refused, Request
from supervisor.scoreboard import ROWS
from supervisor.slot import Paused, Slot
from supervisor.wants import Wants
from taskqueue.errors import ConfigurationError
from taskqueue.snapshot import Snapshot

Answer = dict[str, Any]


class Commands:
    """Answers requests about one fleet; `wall` gives seconds since 1970."""

    def __init__(
        self, fleet: Fleet, wants: Wants, *, snapshot: Callable[[], Snapshot], wall: Callable[[], float]
    ) -> None:
        self._fleet = fleet
        self._wants = wants
        self._snapshot = snapshot
        self._wall = wall

    def __call__(self, request: Request, peer: Peer) -> Answer:
        """Do it. Raises TaskQueueError for what cannot be done."""
        match request.command:
            case "ping":
                return {"message": "alive"}
            case "status":
                return {"snapshot": msgspec.to_builtins(self._snapshot())}
            case "stop":
                self._wants.stop(now=request.now, by=f"stop, said by {request.by or peer}")
                return {"message": "stopping now" if request.now else "stopping after the current tasks"}
        if self._wants.stopping:
            raise Refused("the supervisor is stopping")
        match request.command:
            case "pause":
                return self._pause(request.target, Paused(request.by or str(peer), self._wall()))
            case "resume":
                return self._pause(request.target, None)
            case "scale":
                return self._scale(request)
            case "restart":
                return self._restart(request.target)
            case "reload":
                return {"message": self._reload()}
        raise Refused(f"no command {request.command!r}")

    def _pause(self, name: str | None, paused: Paused | None) -> Answer:
        target: Fleet | Pool | Slot = self._fleet if name is None else self._fleet.target(name)
        if not isinstance(target, Fleet) and (pool := self._pool_of(target).name) in self._fleet.attendants:
            raise Refused(f"{pool} is never paused: it runs no task, and others need it meanwhile")
        before, target.paused = target.paused, paused if paused is None else target.paused or paused
        if paused is None and isinstance(target, Slot):
            target.resume_process()
        what = name or "every worker of this host"
        if paused is not None:
            return {"message": f"{what} is paused" + (f" already, by {before.by}" if before else "")}
        return {"message": f"{what} goes on" + self._still(target)}

    def _still(self, target: Fleet | Pool | Slot) -> str:
        """What else holds it."""
        above = [] if isinstance(target, Fleet) else [("the host", self._fleet.paused)]
        if isinstance(target, Slot):
            above.append((f"pool {target.pool}", self._fleet.pools[target.pool].paused))
        held = [f"{what} is paused (by {paused.by})" for what, paused in above if paused]
        return f", once it is not held from above: {' and '.join(held)}" if held else ""

    def _pool_of(self, target: Pool | Slot) -> Pool:
        return target if isinstance(target, Pool) else self._fleet.pools[target.pool]

    def _scale(self, request: Request) -> Answer:
        if request.target is None or request.workers is None:
            raise Refused("scale needs a pool and a number of workers, such as `supervisor scale mail 4`")
        pool = self._fleet.target(request.target)
        if isinstance(pool, Slot):
            raise Refused(f"{request.target!r} is one worker: name its pool, {pool.pool!r}")
        if pool.name in self._fleet.attendants:
            raise Refused(f"there is one {pool.wish.kind} process, and never another number of them")
        if pool.gone:
            raise Refused(f"pool {pool.name!r} is not in the configuration any more, and drains")
        most = ROWS // 4
        if not 0 <= request.workers <= most:
            raise Refused(f"a pool can have 0 to {most:,} workers, not {request.workers:,}")
        before = pool.wanted
        pool.scale(request.workers)
        said = f"; the file says {pool.wish.workers}" if pool.scaled else ""
        return {"message": f"{pool.name}: {before} -> {pool.wanted} workers{said}"}

    def _reload(self) -> str:
        try:
            return self._wants.reload()
        except ConfigurationError:
            raise Refused(self._wants.refused) from None

    def _restart(self, name: str | None) -> Answer:
        targets = [*self._fleet.pools.values()] if name is None else [self._fleet.target(name)]
        for target in targets:
            target.renew()
        how = "" if isinstance(targets[0], Slot) else ", one after the other"
        return {"message": f"{name or 'every worker'} is replaced{how}{self._code()}"}

    def _code(self) -> str:
        if not self._fleet.preloaded:
            return ""
        return (
            "; they share the code that was imported at the supervisor's start: to load new code, restart it, or set "
            "[app] preload = false"
        )
