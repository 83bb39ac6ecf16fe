"""Following tasks over HTTP: soon told, one question a tick whoever asks, and nothing left of those who went away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from taskqueue.errors import BrokerUnavailable
from taskqueue.status import Status
from taskqueue.web import watching
from taskqueue.web.watching import Mark, Watching
from tests.support import errands
from tests.support.statements import asked
from tests.support.web import API, TOKENS

Story = Callable[[httpx.AsyncClient], Awaitable[Any]]


@pytest.fixture
def tell(open_web):
    """Runs a story with a client that asks the application in its own event loop."""
    web = open_web()

    def told(story: Story, *, name: str = "operator") -> Any:
        async def main() -> Any:
            transport = httpx.ASGITransport(app=web.asgi)
            headers = {"Authorization": f"Bearer {TOKENS[name]}"}
            async with httpx.AsyncClient(
                transport=transport, base_url=f"http://127.0.0.1{API}", headers=headers, timeout=30
            ) as client:
                return await story(client)

        return asyncio.run(main())

    told.web = web
    return told


async def until(condition: Callable[[], Any]) -> None:
    """Wait for it, in the event loop."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # as `eventually`: what is waited for tells nobody
            await asyncio.sleep(0.005)


def waits(web):
    return web.asgi.state.hub.watching._waits


def test_who_waits_is_told_when_the_task_has_ended(tell):
    web = tell.web
    task = web.enqueue(errands.add, 1)

    async def story(client):
        waiting = asyncio.create_task(client.get(f"/tasks/{task}", params={"wait": 60}))
        await until(lambda: waits(web))
        await asyncio.to_thread(web.app.task_log.cancel, task)
        return await waiting

    answer = tell(story)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert not waits(web)


def test_who_waits_in_vain_is_shown_how_it_stands(tell):
    task = tell.web.enqueue(errands.add, 1)

    async def story(client):
        first = await client.get(f"/tasks/{task}", params={"wait": 0.3})
        known = {"If-None-Match": first.headers["etag"]}
        return first, await client.get(f"/tasks/{task}", params={"wait": 0.3}, headers=known)

    first, second = tell(story)
    assert (first.status_code, first.json()["status"]) == (200, "enqueued")
    assert second.status_code == 304


def test_what_has_ended_or_is_news_is_not_waited_for(tell):
    task = tell.web.enqueue(errands.add, 1)
    tell.web.app.task_log.cancel(task)

    async def story(client):
        async with asyncio.timeout(20):
            ended = await client.get(f"/tasks/{task}", params={"wait": 60})
            news = await client.get(f"/tasks/{task}", params={"wait": 60}, headers={"If-None-Match": '"older"'})
        return ended.status_code, news.status_code

    assert tell(story) == (200, 200)


def test_who_knows_how_it_stands_is_told_of_any_change(tell):
    """Its status and, while it runs, how far it says it is."""
    web = tell.web
    task = web.enqueue(errands.add, 1)
    queue = web.app.queues["default"]

    async def story(client):
        seen, known = [], (await client.get(f"/tasks/{task}")).headers["etag"]

        async def after(change: Callable[[], Any]) -> None:
            nonlocal known
            request = client.get(f"/tasks/{task}", params={"wait": 60}, headers={"If-None-Match": known})
            waiting = asyncio.create_task(request)
            await until(lambda: waits(web))
            await asyncio.to_thread(change)
            answer = await waiting
            known = answer.headers["etag"]
            seen.append((answer.json()["status"], answer.json()["progress"]))

        held: list[Any] = []
        await after(lambda: held.extend(queue.turn([], limit=1, lease=60, worker="w").held))
        log, claim = queue.task_log, held[0].claim
        await after(lambda: log.start(task, fence=claim.fence, attempt=1, at=web.app.clock.micros()))
        progress = json.dumps({"done": 3, "total": 7, "message": "half"}).encode()
        await after(lambda: log.progress(task, fence=claim.fence, progress=progress))
        return seen

    assert tell(story) == [
        ("dequeued", None),
        ("running", None),
        ("running", {"done": 3, "total": 7, "message": "half"}),
    ]


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "soon", "1&wait=2"])
def test_a_wait_that_is_none_is_refused(tell, wait):
    task = tell.web.enqueue(errands.add, 1)
    answer = tell.web("operator", "GET", f"/tasks/{task}?wait={wait}")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("query wait: ")


def test_a_hundred_followers_of_a_thousand_tasks_cost_one_question_a_tick(tell):
    web = tell.web
    ids = [handle.id for handle in web.app.dispatcher.enqueue_many(errands.add.bind(n) for n in range(1000))]
    ticks = []

    async def story(client):
        hub = web.asgi.state.hub
        looked = hub.watching._look

        def look(watched):
            with asked() as statements:
                found = looked(watched)
            ticks.append((len(watched), len([one for one in statements if "SELECT" in one.upper()])))
            return found

        hub.watching._look = look
        following = [
            asyncio.create_task(client.get(f"/tasks/{ids[n]}", params={"wait": 60})) for n in range(0, 1000, 10)
        ]
        await until(lambda: len(waits(web)) == 100)
        del ticks[:]
        await until(lambda: len(ticks) >= 3)
        await asyncio.to_thread(web.app.task_log.cancel, ids)
        return await asyncio.gather(*following)

    answers = tell(story)
    assert {answer.json()["status"] for answer in answers} == {"cancelled"}
    assert ticks[:3] == [(100, 1)] * 3


def test_another_owners_task_cannot_be_waited_for(tell):
    task = tell.web.enqueue(errands.add, 1, owner="bob")

    async def story(client):
        async with asyncio.timeout(20):
            return [
                await client.get(f"/tasks/{task}", params={"wait": 60}),
                await client.get("/events", params={"task": task}),
            ]

    assert [answer.status_code for answer in tell(story, name="ann")] == [404, 404]


def test_a_user_listens_to_their_tasks_and_not_to_the_fleet(tell):
    async def story(client):
        return await client.get("/events")

    answer = tell(story, name="ann")
    assert (answer.status_code, "it takes the role reader or operator" in answer.text) == (403, True)


def test_a_server_that_leaves_lets_go_of_all_who_wait(tell):
    web = tell.web
    task = web.enqueue(errands.add, 1)

    async def story(client):
        waiting = asyncio.create_task(client.get(f"/tasks/{task}", params={"wait": 60}))
        listening = asyncio.create_task(client.get("/events", params={"task": task}))
        fleet = asyncio.create_task(client.get("/events"))
        await until(lambda: len(waits(web)) == 2 and web.asgi.state.hub.sampler._listeners)
        web.asgi.state.hub.close()
        async with asyncio.timeout(20):
            return await asyncio.gather(waiting, listening, fleet)

    told = tell(story)
    assert [answer.status_code for answer in told] == [200, 200, 200]
    assert told[1].text.count("event: task") == 1
    assert told[2].text.count("event: fleet") >= 0


# The poller by itself


class Store:
    """Answers as it is told, and counts how often it was asked."""

    def __init__(self) -> None:
        self.marks: dict[str, Mark] = {}
        self.asked = 0
        self.away = False

    def look(self, ids):
        self.asked += 1
        if self.away:
            raise BrokerUnavailable("the store does not answer")
        return {i: self.marks[i] for i in ids if i in self.marks}


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(watching, "TICK", 0.01)
    return Store()


def poller(store):
    async def run(function):
        return function()

    return Watching(store.look, run)


WAITING, RUNNING = Mark(Status.ENQUEUED), Mark(Status.RUNNING, b"1")


def test_what_changed_before_one_began_to_wait_is_told_at_the_first_look(store):
    store.marks["a"] = RUNNING
    assert asyncio.run(poller(store).changed({"a": WAITING}, within=20)) == {"a"}


def test_what_is_gone_has_changed(store):
    assert asyncio.run(poller(store).changed({"a": WAITING}, within=20)) == {"a"}


def test_only_what_changed_is_told(store):
    store.marks = {"a": WAITING, "b": Mark(Status.RUNNING, b"2"), "c": RUNNING}

    async def story():
        return await poller(store).changed({"a": WAITING, "b": RUNNING, "c": RUNNING}, within=20)

    assert asyncio.run(story()) == {"b"}


def test_nobody_is_asked_while_nobody_waits(store):
    store.marks["a"] = WAITING

    async def story():
        ours = poller(store)
        assert await ours.changed({"a": WAITING}, within=0.05) == set()
        await until(ours._poller.done)
        before = store.asked
        assert await ours.changed({}, within=20) == set()
        assert await ours.changed({"a": WAITING}, within=0) == set()
        assert store.asked == before
        # And again for the next one.
        store.marks["a"] = RUNNING
        assert await ours.changed({"a": WAITING}, within=20) == {"a"}

    asyncio.run(story())


def test_who_gave_up_is_not_asked_for(store):
    store.marks["a"] = WAITING

    async def story():
        ours = poller(store)
        waiting = asyncio.create_task(ours.changed({"a": WAITING}, within=20))
        await until(lambda: store.asked)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert not ours._waits
        await until(ours._poller.done)

    asyncio.run(story())


def test_a_store_that_is_away_is_weathered(store, caplog):
    """P15: one line when it goes, one when it is back; who has waited as long as they said is told."""
    store.marks["a"] = WAITING
    store.away = True

    async def story():
        ours = poller(store)
        with pytest.raises(BrokerUnavailable):
            await ours.changed({"a": WAITING}, within=0.1)
        waiting = asyncio.create_task(ours.changed({"a": WAITING}, within=20))
        await until(lambda: store.asked > 20)
        store.away = False
        await until(lambda: "the store is back" in caplog.text)
        store.marks["a"] = RUNNING
        assert await waiting == {"a"}

    asyncio.run(story())
    assert [record.getMessage().partition(":")[0] for record in caplog.records if "store" in record.getMessage()] == [
        "the store is away",
        "the store is back",
    ]


def test_what_breaks_leaves_nobody_waiting(store):
    def broken(_ids):
        raise KeyError("oops")

    store.look = broken

    async def story():
        ours = poller(store)
        found = await ours.changed({"a": WAITING}, within=20)
        assert isinstance(ours._poller.exception(), KeyError)
        return found

    assert asyncio.run(story()) == set()
