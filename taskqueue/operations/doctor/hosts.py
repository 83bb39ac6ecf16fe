"""Hosts, as their supervisors say: one that is gone, or has told of what somebody should look at."""

from __future__ import annotations

from collections.abc import Iterator

from taskqueue.app import App
from taskqueue.operations.doctor.finding import Finding, ill, well
from taskqueue.operations.hosts import Host, hosts
from taskqueue.operations.times import seconds
from taskqueue.operations.words import count
from taskqueue.snapshot import Snapshot

#: for how long somebody is told to look for a host that is gone, in seconds; then it is taken for one that was given up
SOUGHT = 3600.0


def supervisors(app: App) -> Iterator[Finding]:
    """All that were heard of; a pool that lacks a worker for a moment is no matter for a doctor, unless it is fatal."""
    for host in hosts(app):
        yield from _host(host)


def _host(host: Host) -> Iterator[Finding]:
    name = f"host {host.name}"
    if not host.alive:
        yield _gone(name, host)
        return
    if host.snapshot is None:
        yield well(name, "its supervisor is of another release, and tells of itself in its own way")
        return
    found = list(_complaints(name, host.snapshot))
    yield from found
    if not found:
        pools = [pool for pool in host.snapshot.pools if pool.kind in ("queue", "pool")]
        up = f"{sum(pool.up for pool in pools)} of {count(sum(pool.wanted for pool in pools), 'worker')} up"
        paused = f", paused by {host.snapshot.paused[0].by}" if host.snapshot.paused else ""
        yield well(name, f"{up}{paused}")


def _gone(name: str, host: Host) -> Finding:
    text = f"its supervisor was not heard of for {seconds(host.silent)}"
    if host.silent > SOUGHT:
        return well(name, text)
    return ill(name, text, "look at that host, and start `supervisor run` there; its tasks run elsewhere")


def _complaints(name: str, said: Snapshot) -> Iterator[Finding]:
    for problem in said.problems:
        yield ill(name, problem, "`supervisor status` there")
    for pool in said.pools:
        if any(slot.state == "fatal" for slot in pool.slots):
            why = next((slot.note for slot in pool.slots if slot.note), "")
            text = f"workers of {pool.name} cannot start{f': {why}' if why else ''}"
            yield ill(name, text, "`supervisor status` there, and `taskqueue check`: usually an import fails")
