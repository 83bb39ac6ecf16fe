"""What operators ask for: done at once, or refused with what, where and what to do."""

from __future__ import annotations

import logging
import signal

import msgspec
import pytest

from supervisor.commands import Commands
from supervisor.fleet import Fleet
from supervisor.ladder import Rung
from supervisor.request import Peer, Refused, Request, request_of
from supervisor.slot import Paused
from supervisor.wants import Wants
from taskqueue.errors import ConfigurationError, TaskQueueError
from taskqueue.settings import parse
from taskqueue.worker.orders import SAME
from tests.support.children import Nursery
from tests.support.clock import FakeClock
from tests.support.pretender import made_up

SMALL = """
    [brokers.main]
    url = "sqlite:///tasks.db"
    [queues.default]
    workers = 0
    [queues.mail]
    workers = {mail}
    [supervisor]
    grace = 20
"""
PEER = Peer(pid=1, uid=4711)


class Operated:
    """A fleet with its wants and commands; `file` is what the file says now."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.file = SMALL.format(mail=2)
        self.fleet = Fleet("host")
        self.wants = Wants(parse(self.file), lambda: parse(self.file), self.fleet, self.clock)
        self.wants.begin()
        self.commands = Commands(self.fleet, self.wants, snapshot=made_up, wall=lambda: 1e9)

    def __call__(self, command: str, target: str | None = None, **more) -> str:
        return self.commands(Request(command=command, target=target, **more), PEER)["message"]

    def refused(self, command: str, target: str | None = None, **more) -> str:
        with pytest.raises(TaskQueueError) as error:
            self(command, target, **more)
        assert "\n" not in str(error.value)
        return str(error.value)

    @property
    def mail(self):
        return self.fleet.pools["mail"]


@pytest.fixture
def operated():
    return Operated()


@pytest.fixture
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


# Ping and status


def test_a_ping_is_answered_even_while_the_supervisor_stops(operated):
    operated("stop")
    assert operated("ping") == "alive"


def test_the_status_is_the_snapshot_as_plain_values(operated):
    answer = operated.commands(Request(command="status"), PEER)
    assert answer == {"snapshot": msgspec.to_builtins(made_up())}


def test_a_command_that_nobody_knows_is_refused(operated):
    assert operated.refused("fly") == "no command 'fly'"
    with pytest.raises(Refused, match="did you mean 'pause'"):
        request_of(b'{"command": "puase"}')


# Pause and resume


def test_each_is_paused_and_resumed_on_its_own(operated):
    assert operated("pause") == "every worker of this host is paused"
    assert operated("pause", "mail") == "mail is paused"
    assert operated("pause", "mail/1") == "mail/1 is paused"
    assert operated.fleet.paused == operated.mail.paused == operated.mail.slots[1].paused == Paused("uid 4711", 1e9)
    assert operated("resume") == "every worker of this host goes on"
    assert operated("resume", "mail") == "mail goes on"
    assert operated.mail.slots[1].paused
    operated("resume", "mail/1")
    assert not any((operated.fleet.paused, operated.mail.paused, operated.mail.slots[1].paused))


def test_an_order_from_elsewhere_is_its_author_s(operated):
    operated("pause", "mail", by="ann@desk")
    assert operated.mail.paused == Paused("ann@desk", 1e9)
    assert operated("pause", "mail") == "mail is paused already, by ann@desk"


def test_who_paused_first_is_remembered(operated):
    operated.fleet.paused = Paused("signal", 5.0)
    assert operated("pause") == "every worker of this host is paused already, by signal"
    assert operated.fleet.paused == Paused("signal", 5.0)


def test_what_still_holds_it_is_told(operated):
    operated.fleet.paused = operated.mail.paused = Paused("signal", 5.0)
    assert operated("resume", "mail/0") == (
        "mail/0 goes on, once it is not held from above: the host is paused (by signal) and pool mail is paused "
        "(by signal)"
    )
    assert operated("resume", "mail").endswith("the host is paused (by signal)")


def test_resuming_a_slot_takes_back_what_usr2_said_to_its_process(operated, nursery):
    slot = operated.mail.slots[0]
    slot.seat(nursery.child(slot, paused=True), successor=False)
    slot.paused_by_signal = True
    operated("resume", "mail/0")
    assert not slot.paused_by_signal


@pytest.mark.parametrize("target", ["keeper", "keeper/0"])
def test_the_keeper_is_never_paused(operated, target):
    assert operated.refused("pause", target).startswith("keeper is never paused")
    assert not operated.fleet.pools["keeper"].slots[0].paused


@pytest.mark.parametrize("command", ["pause", "resume", "restart", "scale"])
def test_a_target_that_is_none_is_refused_with_the_nearest(operated, command):
    assert operated.refused(command, "mial", workers=1) == "no pool or slot 'mial', did you mean 'mail'?"
    assert len(operated.refused(command, "x" * 60_000, workers=1)) < 400


# Scale


@pytest.mark.parametrize("workers", [0, 1, 5, 1024])
def test_a_pool_is_scaled_by_hand(operated, workers):
    assert operated("scale", "mail", workers=workers) == f"mail: 2 -> {workers} workers; the file says 2"
    assert operated.mail.wanted == workers


def test_scaling_to_what_the_file_says_is_no_news(operated):
    operated("scale", "mail", workers=5)
    assert operated("scale", "mail", workers=2) == "mail: 5 -> 2 workers"


@pytest.mark.parametrize("workers", [-1, 1025, 10**30])
def test_a_count_that_is_none_is_refused(operated, workers):
    assert operated.refused("scale", "mail", workers=workers) == f"a pool can have 0 to 1,024 workers, not {workers:,}"
    assert operated.mail.wanted == 2


@pytest.mark.parametrize(("target", "workers"), [(None, 3), ("mail", None), (None, None)])
def test_what_scale_needs_is_said(operated, target, workers):
    assert "such as `supervisor scale mail 4`" in operated.refused("scale", target, workers=workers)


def test_a_slot_is_not_scaled(operated):
    assert operated.refused("scale", "mail/0", workers=2) == "'mail/0' is one worker: name its pool, 'mail'"


def test_there_is_one_keeper(operated):
    assert (
        operated.refused("scale", "keeper", workers=2)
        == "there is one keeper process, and never another number of them"
    )


def test_a_pool_that_drains_is_not_scaled(operated, nursery):
    """Its queue may be nowhere any more."""
    operated.file = SMALL.format(mail=0) + "[queues.other]\n"
    operated.fleet.leavers.append(nursery.child(pool="mail"))
    operated("reload")
    assert operated.refused("scale", "mail", workers=2).startswith("pool 'mail' is not in the configuration any more")


# Restart


@pytest.mark.parametrize(
    ("target", "renewed"),
    [(None, {"keeper/0", "mail/0", "mail/1"}), ("mail", {"mail/0", "mail/1"}), ("mail/1", {"mail/1"})],
)
def test_a_restart_renews_whom_it_names(operated, target, renewed):
    said = operated("restart", target)
    assert said.startswith(target or "every worker")
    assert ("one after the other" in said) == (len(renewed) > 1)
    assert {slot.name.removeprefix("host/") for slot in operated.fleet.slots if slot.generation} == renewed


def test_a_restart_says_that_imported_code_is_shared(operated):
    assert "preload" not in operated("restart")
    operated.fleet.preloaded = True
    assert "set [app] preload = false" in operated("restart")


# Reload


def test_a_reload_takes_over_what_the_file_says(operated):
    operated.file = SMALL.format(mail=4)
    assert operated("reload") == "configuration read again"
    assert operated.mail.wanted == 4


def test_what_needs_a_restart_is_said(operated):
    operated.file = SMALL.format(mail=2) + '\npidfile = "other.pid"\ncontrol_socket = "other.sock"\n'
    assert operated("reload") == "configuration read again; a new pidfile and control_socket needs a restart"


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("[brokers", "not TOML"),
        (SMALL.format(mail=2) + "[queues.x]\nworkres = 2\nfoo = 1", "did you mean 'workers'?"),
        (SMALL.format(mail=0), "no queue needs a worker here"),
    ],
)
def test_a_bad_file_is_refused_whole_and_the_old_one_kept(operated, file, said):
    """P18."""
    before, operated.file = operated.wants.settings, file
    answer = operated.refused("reload")
    assert answer.startswith("reload refused, the configuration of before holds: ")
    assert said in answer
    assert operated.wants.settings is before
    assert operated.mail.wanted == 2
    assert operated.wants.refused == answer

    operated.file = SMALL.format(mail=3)
    operated("reload")
    assert operated.wants.refused == ""


# Stop


def test_a_stop_is_graceful_and_a_second_one_may_be_at_once(operated):
    assert operated("stop") == "stopping after the current tasks"
    assert operated.wants.patience == 20
    operated("stop")
    assert operated.wants.stop_rung is Rung.TERM, "however often"
    assert operated("stop", now=True) == "stopping now"
    assert operated.wants.patience == 0


def test_who_said_so_stands_in_the_log(operated, caplog):
    with caplog.at_level(logging.INFO):
        operated("stop")
    assert "uid 4711" in caplog.text


@pytest.mark.parametrize("command", ["pause", "resume", "scale", "restart", "reload"])
def test_while_it_stops_nothing_else_is_done(operated, command):
    operated("stop")
    assert operated.refused(command, "mail") == "the supervisor is stopping"


# What signals want


def obey(operated: Operated, *names: str, every: float = 1.0) -> Wants:
    for name in names:
        operated.wants.obey(signal.Signals[name])
        operated.clock.advance(every)
    return operated.wants


@pytest.mark.parametrize(
    ("names", "rung"),
    [
        (["SIGTERM"], Rung.TERM),
        (["SIGINT"], Rung.TERM),
        (["SIGQUIT"], Rung.TERM),
        (["SIGTERM", "SIGTERM"], Rung.NOW),
        (["SIGINT", "SIGTERM"], Rung.NOW),
        (["SIGQUIT", "SIGQUIT", "SIGQUIT"], Rung.TERM),
        (["SIGQUIT", "SIGTERM"], Rung.TERM),
        (["SIGTERM", "SIGQUIT"], Rung.TERM),
        (["SIGQUIT", "SIGTERM", "SIGINT"], Rung.NOW),
    ],
)
def test_one_is_graceful_and_only_a_second_term_or_int_means_now(operated, names, rung):
    """P5."""
    assert obey(operated, *names).stop_rung is rung


def test_a_term_to_the_process_and_to_its_group_is_one(operated):
    assert obey(operated, "SIGTERM", "SIGTERM", every=SAME / 10).stop_rung is Rung.TERM
    operated.clock.advance(SAME)
    assert obey(operated, "SIGTERM").stop_rung is Rung.NOW


def test_a_first_term_after_a_stop_by_command_is_no_second(operated):
    operated("stop")
    operated.clock.advance(1)
    assert obey(operated, "SIGTERM").stop_rung is Rung.TERM


@pytest.mark.parametrize(
    ("names", "paused"),
    [
        (["SIGUSR2"], True),
        (["SIGUSR2", "SIGUSR2"], True),
        (["SIGUSR2", "SIGCONT"], False),
        (["SIGCONT", "SIGUSR2"], True),
        (["SIGUSR2", "SIGHUP"], True),
    ],
)
def test_usr2_pauses_the_host_and_cont_resumes_it(operated, names, paused):
    """P6."""
    obey(operated, *names)
    assert (operated.fleet.paused is not None) is paused


def test_signals_leave_alone_what_else_is_paused(operated):
    operated("pause", "mail")
    obey(operated, "SIGUSR2", "SIGCONT")
    assert operated.mail.paused


def test_hup_reads_the_file_again_and_keeps_the_old_one_if_it_is_bad(operated):
    operated.file = SMALL.format(mail=3)
    obey(operated, "SIGHUP")
    assert operated.mail.wanted == 3
    operated.file = "[["
    assert "reload refused" in obey(operated, "SIGHUP").refused
    assert operated.mail.wanted == 3


def test_hup_while_it_stops_is_nothing(operated):
    operated.file = SMALL.format(mail=3)
    obey(operated, "SIGTERM", "SIGHUP")
    assert operated.mail.wanted == 2


def test_a_file_without_work_is_no_file_to_begin_with(operated):
    operated.file = SMALL.format(mail=0)
    wants = Wants(parse(operated.file), lambda: parse(operated.file), Fleet("host"), operated.clock)
    with pytest.raises(ConfigurationError, match="no queue needs a worker here"):
        wants.begin()


# Patience: grace bounds a stop only (R19)


def test_without_a_stop_there_is_time_without_end(operated):
    assert operated.wants.patience == float("inf")


def test_a_stop_hurries_those_who_leave_already(operated, nursery):
    leaver = nursery.child(pool="mail")
    operated.fleet.leavers.append(leaver)
    now = operated.clock.monotonic()
    leaver.tell(Rung.TERM, now)
    operated("stop")
    assert leaver.standing.until == now + 20
    operated.clock.advance(5)
    operated("stop", now=True)
    assert leaver.standing.until == now + 5


# Hopeless


@pytest.mark.parametrize(
    ("when", "hopeless", "leaves"),
    [("never", 2, False), ("any", 0, False), ("any", 1, True), ("all", 1, False), ("all", 2, True)],
)
def test_it_leaves_when_pools_cannot_ever_start_if_that_is_wanted(operated, when, hopeless, leaves):
    operated.file = SMALL.format(mail=1) + f'\nexit_when = "{when}"\n[queues.other]\n'
    operated("reload")
    for pool in operated.fleet.worker_pools[:hopeless]:
        pool.slots[0].fatal = True
        for index in list(pool.slots)[1:]:
            del pool.slots[index]
    operated.wants.give_up_if_hopeless()
    assert operated.wants.stopping is leaves
    assert operated.wants.exit_code == (78 if leaves else 0)


def test_a_pool_that_was_scaled_to_nothing_is_not_hopeless(operated):
    operated.file = SMALL.format(mail=1) + '\nexit_when = "any"\n[queues.other]\n'
    operated("reload")
    operated("scale", "other", workers=0)
    operated.fleet.tidy()
    operated.wants.give_up_if_hopeless()
    assert not operated.wants.stopping
