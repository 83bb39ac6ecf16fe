"""`taskqueue move`: a queue's messages go from one broker to another; nothing is lost, nothing runs twice at once."""

from __future__ import annotations

import json
import os
import signal

import pytest

from taskqueue import Status
from taskqueue.codec import peek
from taskqueue.ids import new_id
from taskqueue.message import Message
from taskqueue.worker.leaving import Limits
from tests.support import forked, sqs, tasks
from tests.support.eventually import eventually
from tests.support.moving import ROUTES, SWITCHED, Removal, Route
from tests.support.programs import ROOT
from tests.support.shell import shell
from tests.support.sqs_double import Relay

SQLITE_POSTGRESQL = Route("sqlite", "postgresql", "sqlite")
TO_SQS = Route("postgresql", "sqs", "postgresql")
FROM_SQS = Route("sqs", "postgresql", "postgresql")


@pytest.fixture
def open_removal(tmp_path):
    opened = []

    def removal(route=SQLITE_POSTGRESQL) -> Removal:
        opened.append(Removal(tmp_path, route))
        return opened[-1]

    yield removal
    for one in opened:
        one.close()


@pytest.fixture
def typed(tmp_path):
    """Commands on that project's configuration."""
    sqs.endpoint()  # the shell leaves the environment as it was found, and this changes it once a process
    (tmp_path / "shell").mkdir()
    with shell(tmp_path / "shell") as sh:

        def run(*args, code=0, config=tmp_path / "taskqueue.toml"):
            sh.forget_all()
            ran = sh.type("--config", str(config), *args)
            assert ran.code == code, ran
            return ran

        yield run


def move(typed, *args, **options):
    return json.loads(typed("move", "default", *(args or ("--to", "new")), "--json", **options).out)


def work_off(app):
    assert app.worker(["default"], Limits(drain=True)).run() == 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("route", ROUTES, ids=str)
@pytest.mark.parametrize("switched", [False, True], ids=["before the switch", "after it"])
def test_what_waits_moves_and_runs_at_the_new_broker(open_removal, typed, route, switched):
    removal = open_removal(route)
    dispatcher = removal.old.dispatcher
    handles = dispatcher.enqueue_many(tasks.add.bind(1, n) for n in range(25))
    handles += dispatcher.options(delay=0.2).enqueue_many([tasks.add.bind(1, 25)])
    how = ["--set", SWITCHED, "move", "default", "--from", "old", "--to", "new"] if switched else ()
    typed(*how) if switched else move(typed)

    assert removal.source.broker.depth().total == 0
    eventually(lambda: work_off(removal.new) or all(h.status().ended for h in handles), what="the end of all")
    assert [handle.result() for handle in handles] == [1 + n for n in range(26)]
    assert {removal.new.task_log_broker.get(handle.id).attempts for handle in handles} == {1}
    assert removal.destination.intake.left_behind(older_than=-1, limit=10) == []


def test_it_tells_what_it_did(open_removal, typed):
    removal = open_removal()
    removal.old.dispatcher.enqueue_many(tasks.add.bind(1, n) for n in range(3))
    ran = typed("move", "default", "--to", "new")
    assert (ran.out, ran.err) == ("default: 3 messages moved from old to new\n", "")
    assert move(typed) == {
        "queue": "default",
        "source": "old",
        "destination": "new",
        "moved": 0,
        "dropped": 0,
        "deferred": 0,
        "left": 0,
        "held": 0,
    }


def test_priorities_and_waiting_times_are_kept(open_removal, typed):
    removal = open_removal()
    dispatcher = removal.old.dispatcher
    last, first = (dispatcher.options(priority=p).enqueue(tasks.add, 1, 1) for p in (7, 2))
    dispatcher.options(delay=3600).enqueue(tasks.add, 1, 1)
    assert move(typed)["moved"] == 3

    found = removal.destination.broker.pop(limit=10, lease=5)
    assert [(d.id, d.priority) for d in found] == [(first.id, 2), (last.id, 7)]
    assert 3500 < removal.destination.broker.due_in() <= 3600


def test_what_is_to_be_leased_singly_stays_so(open_removal, typed):
    removal = open_removal()
    first, second = removal.old.dispatcher.enqueue_many(tasks.add.bind(1, n) for n in range(2))
    suspect, other = removal.source.broker.pop(limit=2, lease=5)
    removal.source.broker.release([suspect], alone=True)
    removal.source.broker.release([other])
    move(typed)
    assert [d.id for d in removal.destination.broker.pop(limit=10, lease=5)] == [first.id]
    assert [d.id for d in removal.destination.broker.pop(limit=10, lease=5)] == [second.id]


def test_a_wait_longer_than_the_destination_can_is_kept_by_the_log(open_removal, typed):
    """SQS delays 15 minutes at most: the entry is the outbox, and the keeper pushes it in time."""
    removal = open_removal(TO_SQS)
    handle = removal.old.dispatcher.options(delay=3600).enqueue(tasks.add, 1, 1)
    done = move(typed)
    assert (done["moved"], done["deferred"]) == (1, 1)
    entry = removal.new.task_log_broker.get(handle.id)
    assert (entry.status, entry.relayed_at) == (Status.ENQUEUED, None)
    removal.new.keeper().step()
    assert removal.destination.broker.depth().total == 0

    database = removal.new.database_of(removal.destination)
    with database.begin() as tx:
        tx.execute(database.tables.entry.update().values(due_at=removal.new.clock.micros()))
    eventually(lambda: removal.new.keeper().step() or removal.destination.broker.depth().total, what="the push")
    work_off(removal.new)
    assert handle.result() == 2


def test_what_waits_in_the_outbox_of_sqs_is_pushed_into_the_database(open_removal, typed):
    """On the task log's own database nobody looks into the outbox: what is there must move too."""
    removal = open_removal(FROM_SQS)
    handle = removal.old.dispatcher.options(delay=3600).enqueue(tasks.add, 1, 1)
    assert removal.source.broker.depth().total == 0
    assert move(typed)["moved"] == 1
    assert removal.new.task_log_broker.get(handle.id).relayed_at is not None
    assert removal.destination.broker.depth().delayed == 1


def test_what_is_too_large_stays_and_is_told_of(open_removal, typed):
    removal = open_removal(TO_SQS)
    large = removal.old.dispatcher.enqueue_by_name("tests.support.tasks:fails", text="x" * 300_000)
    small = removal.old.dispatcher.enqueue(tasks.add, 1, 1)
    ran = typed("move", "default", "--to", "new", code=1)
    assert ran.out == "default: 1 message moved from old to new\n"
    assert "1 message left at 'old': too large for 'new'" in ran.err
    assert "`taskqueue worker default --set queues.default.broker=old`" in ran.err
    work_off(removal.new)
    assert small.result() == 2
    assert [d.id for d in removal.source.broker.pop(limit=5, lease=5)] == [large.id]


def test_a_broken_message_is_moved_byte_for_byte(open_removal, typed):
    removal = open_removal()
    junk = Message(new_id(), b"\x00\xff no message")
    removal.source.broker.push([junk])
    move(typed)
    (found,) = removal.destination.broker.pop(limit=5, lease=5)
    assert (found.id, found.body) == (junk.id, junk.body)
    assert removal.new.task_log_broker.get(junk.id) is None


def test_a_message_of_somebody_else_at_sqs_is_moved_too(open_removal, typed):
    removal = open_removal(FROM_SQS)
    removal.source.broker.push([Message("made by hand, " + "x" * 60, b"hello")])
    assert move(typed)["moved"] == 1
    (found,) = removal.destination.broker.pop(limit=5, lease=5)
    assert found.body == b"hello"


def test_messages_of_ended_tasks_are_dropped(open_removal, typed):
    removal = open_removal()
    handle = removal.old.dispatcher.enqueue(tasks.add, 1, 1)
    handle.cancel()
    assert (done := move(typed))["dropped"] == 1
    assert done["moved"] == 0
    assert removal.destination.broker.depth().total == 0


def test_no_more_than_the_limit_is_moved(open_removal, typed):
    removal = open_removal()
    removal.old.dispatcher.enqueue_many(tasks.add.bind(1, n) for n in range(5))
    assert move(typed, "--to", "new", "--limit", "2")["moved"] == 2
    assert removal.source.broker.depth().waiting == 3


def test_what_a_dead_worker_held_at_the_source_is_moved_when_its_lease_is_over(open_removal, typed):
    """P3: nobody may be left there who would give it back."""
    removal = open_removal()
    handle = removal.old.dispatcher.enqueue(tasks.add, 1, 1)
    removal.source.turn([], limit=1, lease=0.05, worker="dead")
    assert move(typed)["held"] == 1 or removal.destination.broker.depth().waiting == 1
    eventually(lambda: move(typed)["moved"] or removal.destination.broker.depth().waiting, what="the lease's end")
    work_off(removal.new)
    assert handle.result() == 2


def test_a_pause_that_does_not_move_is_told_of(open_removal, typed):
    """P6"""
    open_removal()
    typed("queues", "pause", "default")
    assert "queue 'default' is paused, but only where it was" in typed("move", "default", "--to", "new").err


def test_queues_that_go_with_the_default_broker_are_named(open_removal, typed, tmp_path):
    removal = open_removal()
    (tmp_path / "more.toml").write_text(removal.config.read_text() + "[queues.mail]\n")
    said = typed("move", "default", "--to", "new", config=tmp_path / "more.toml").err
    assert said == "queues that go with 'default' when its broker is switched, to be moved too: mail\n"


class Refusing(Relay):
    """Before SQS: takes no messages while it is `broken`, and does all else."""

    def passed_on(self, headers, body):
        sending = headers["X-Amz-Target"].endswith("SendMessageBatch")
        was, self.broken = self.broken, self.broken and sending
        try:
            return super().passed_on(headers, body)
        finally:
            self.broken = was


def test_a_destination_that_goes_away_in_the_middle_loses_nothing(open_removal, typed):
    """P1, P15: the task log is the outbox, and the next move goes on."""
    removal = open_removal(TO_SQS)
    handles = removal.old.dispatcher.enqueue_many(tasks.add.bind(1, n) for n in range(5))
    with Refusing(sqs.endpoint()) as relay:
        relay.broken = True
        ran = typed("--set", f"brokers.new.endpoint_url={relay.url}", "move", "default", "--to", "new", code=1)
    assert "SQS queue" in ran.line
    assert removal.source.broker.depth().total == 0
    entries = [removal.new.task_log_broker.get(handle.id) for handle in handles]
    assert {(entry.status, entry.relayed_at) for entry in entries} == {(Status.ENQUEUED, None)}

    eventually(lambda: move(typed) and not removal.destination.intake.left_behind(older_than=0, limit=9), what="a push")
    eventually(lambda: work_off(removal.new) or all(h.status().ended for h in handles), what="the end of all")
    assert [handle.result() for handle in handles] == [1 + n for n in range(5)]


# Refused


def test_what_cannot_be_moved_is_refused_in_one_line(open_removal, typed):
    open_removal()
    for args, code, said in [
        (("default", "--to", "nwe"), 78, "no broker 'nwe', did you mean 'new'?"),
        (("defualt", "--to", "new"), 1, "did you mean 'default'?"),
        (("default", "--to", "old"), 2, "the configuration says so already; name the old one by --from"),
        (("default", "--from", "new", "--to", "new"), 2, "cannot be moved from 'new' to itself"),
        (("default", "--to", "new", "--set", "brokers.new.url=memory://"), 78, "in one process only"),
        (("default", "--to", "new", "--set", "brokers.old.url=memory://"), 78, "nothing to move"),
    ]:
        assert said in typed("move", *args, code=code).line


def test_two_task_logs_are_refused(open_removal, typed, tmp_path):
    """Without a URL the task log goes with the default queue's broker."""
    removal = open_removal()
    removal.old.dispatcher.enqueue(tasks.add, 1, 1)
    text = removal.config.read_text().replace("[task_log]\n", "[task_log]\nretention = 60\n#")
    (tmp_path / "other.toml").write_text(text)
    said = typed("move", "default", "--to", "new", code=78, config=tmp_path / "other.toml").line
    assert "the task log would go with queue 'default', and entries do not move" in said
    assert removal.source.broker.depth().waiting == 1


def test_entries_in_the_sources_own_log_are_noticed_and_nothing_is_taken(open_removal, typed):
    removal = open_removal()
    handle = removal.old.dispatcher.enqueue(tasks.add, 1, 1)
    new_log = f'brokers.new.url="{removal.new.settings.brokers["new"].url}"'
    args = ("--set", new_log, "--set", f"task_log.url={removal.new.settings.brokers['new'].url}")
    said = typed(*args, "move", "default", "--to", "new", code=78).line
    assert f"task {handle.id} has its entry in the source's own task log" in said
    assert removal.source.broker.depth().waiting == 1
    assert removal.destination.broker.depth().total == 0


# Both configurations at once


def test_leases_of_sqs_beside_those_of_a_broker_in_the_same_database_are_kept_apart(open_removal):
    """While a queue moves, keepers of both configurations look for ended leases in one table."""
    removal = open_removal(TO_SQS)
    handle = removal.new.dispatcher.enqueue(tasks.add, 1, 1)
    eventually(lambda: removal.destination.turn([], limit=1, lease=0.01, worker="dead").held, what="a claim")
    assert removal.source.recover() == []
    assert removal.source.broker.depth().total == 0
    eventually(removal.destination.recover, what="the end of the lease")
    eventually(lambda: work_off(removal.new) or handle.status().ended, what="its end")
    assert handle.result() == 2


# Killed on the way

POINTS = [(at, when) for at in ("push", "note", "forget", "hand over") for when in ("before", "after")]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_a_mover_killed_anywhere_loses_nothing_and_doubles_nothing(open_removal, typed, route):
    removal = open_removal(route)
    enqueue = removal.old.dispatcher.enqueue_many
    handles = []
    for at, when in POINTS:
        handles += enqueue(tasks.traced.bind(str(removal.ledger)) for _ in range(3))
        code, _, said = forked.run(
            "tests.support.dying_mover",
            str(removal.config),
            at,
            when,
            environment=dict(os.environ, PYTHONPATH=str(ROOT)),
        )
        assert code == -signal.SIGKILL, said
    eventually(lambda: move(typed) and removal.source.broker.depth().total == 0, what="an empty source", within=90)

    def ended():
        work_off(removal.new)
        return all(handle.status().ended for handle in handles)

    eventually(ended, what="the end of all", within=60)
    assert {handle.status() for handle in handles} == {Status.COMPLETED}
    assert set(removal.starts().values()) == {1}
    assert len(removal.starts()) == len(handles)


def test_bodies_are_those_of_the_entries(open_removal, typed):
    removal = open_removal()
    handle = removal.old.dispatcher.enqueue(tasks.add, 1, 1)
    move(typed)
    (found,) = removal.destination.broker.pop(limit=5, lease=5)
    assert found.body == removal.new.task_log_broker.get(handle.id).payload
    assert peek(found.body).id == handle.id
