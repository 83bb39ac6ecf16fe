"""`taskqueue doctor` at each kind of store: what is wrong, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from taskqueue.clock import SystemClock
from taskqueue.ids import new_id
from taskqueue.operations.doctor import mysql, postgresql
from tests.support import sqs
from tests.support.servers import in_folder, new_database
from tests.support.servers_to_break import own_postgresql
from tests.support.shell import Shell, shell
from tests.support.sqs_double import double, refusal

CONFIG = """
[app]
modules = ["tests.support.errands"]
enqueue_timeout = 1
[brokers.main]
url = "{url}"
{options}
{more}
[queues.default]
broker = "main"
"""
LOG = '[task_log]\nurl = "sqlite:///log.db"\n'
ADD = "tests.support.errands:add"


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    sqs.endpoint()
    with shell(tmp_path) as opened:
        yield opened


def configure(sh: Shell, url: str, *, options: str = "", more: str = "") -> None:
    sh.forget()
    sh.config.write_text(CONFIG.format(url=url, options=options, more=more))


def examine(sh: Shell) -> list[dict]:
    sh.forget()
    ran = sh.type("doctor", "--json")
    found = json.loads(ran.out)
    assert ran.code == int(any(not one["well"] for one in found))
    assert ran.err == ""
    return found


def told(sh: Shell, *, well: bool) -> str:
    """What is well, or what is not and what to do then; a line each."""
    return "\n".join(
        f"{one['subject']}: {one['text']}" + (f" -> {one['advice']}" if one["advice"] else "")
        for one in examine(sh)
        if one["well"] is well
    )


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request, sh, tmp_path) -> str:
    """The URL of a database with our tables, which is configured."""
    url = in_folder(request.param, tmp_path)
    configure(sh, url)
    return url


# Every server


def test_a_server_in_good_order_is_well(sh, server):
    assert told(sh, well=False) == ""
    said = told(sh, well=True)
    assert "its clock and this host's agree within" in said
    assert " connections are in use" in said
    assert "answers; schema 0001" in said
    assert "dead rows" in said
    assert "PostgreSQL 1" in said or "MariaDB 1" in said or "MySQL 8" in said


def test_a_server_without_our_tables_needs_an_init(sh, server):
    configure(sh, new_database("postgresql" if "postgresql" in server else "mariadb"))
    assert "it has no tables of ours -> `taskqueue init`" in told(sh, well=False)
    sh("init")
    assert told(sh, well=False) == ""


@pytest.mark.parametrize(("by", "way"), [(90.5, "behind"), (-90.5, "ahead of")])
def test_clocks_that_differ_are_told_of(sh, server, monkeypatch, by, way):
    real = SystemClock.micros
    monkeypatch.setattr(SystemClock, "micros", lambda clock: real(clock) + int(by * 1e6))
    assert f"its clock is 1 min 30 s {way} this host's -> look at NTP on both" in told(sh, well=False)


def test_how_long_the_oldest_waits_is_told(sh, server):
    sh.enqueue(ADD, "a=1")
    assert "queue default: no worker serves it; 1 task waiting, the oldest for " in told(sh, well=False)


def test_connections_that_run_out_are_told_of(sh, server, monkeypatch):
    for kind in (postgresql, mysql):
        monkeypatch.setattr(kind, "FULL", 0.0)
    said = told(sh, well=False)
    assert "connections are in use -> raise max_connections" in said


def test_an_old_transaction_that_keeps_dead_rows_is_named_with_what_ends_it(sh, server, monkeypatch):
    for kind in (postgresql, mysql):
        monkeypatch.setattr(kind, "LONG", 0.0)
    engine = sa.create_engine(server)
    with engine.connect() as other:
        number = other.exec_driver_sql(
            "SELECT pg_backend_pid()" if "postgresql" in server else "SELECT CONNECTION_ID()"
        ).scalar()
        other.exec_driver_sql("INSERT INTO taskqueue_queue (name) VALUES ('held')")
        said = told(sh, well=False)
        other.rollback()
    engine.dispose()
    end = f"SELECT pg_terminate_backend({number})" if "postgresql" in server else f"KILL {number}"
    assert "has been open for" in said
    assert "and keeps dead rows" in said
    assert end in said


# PostgreSQL


@pytest.mark.timeout(120)
def test_what_outlives_its_session_and_keeps_dead_rows_is_told_of(sh, monkeypatch):
    monkeypatch.setattr(postgresql, "LONG", 0.0)
    with own_postgresql() as server:
        server.configure("max_prepared_transactions = 2", "wal_level = logical")
        server.execute("CREATE DATABASE shop", "CREATE ROLE ann LOGIN")
        server.execute("SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')", database="shop")
        server.execute("GRANT CREATE ON SCHEMA public TO ann", database="shop")
        configure(sh, server.url_of("shop"))
        sh("init")
        engine = sa.create_engine(server.url_of("shop"))
        with engine.connect() as other:
            other.exec_driver_sql("INSERT INTO taskqueue_queue (name) VALUES ('held')")
            other.exec_driver_sql("PREPARE TRANSACTION 'half'")
        engine.dispose()
        said = told(sh, well=False)
        assert "a prepared transaction of postgres is" in said
        assert "COMMIT PREPARED 'half', or ROLLBACK PREPARED 'half'" in said
        assert "nobody reads the replication slot forgotten" in said
        assert "if it is not needed: SELECT pg_drop_replication_slot('forgotten')" in said

        server.execute("ROLLBACK PREPARED 'half'", "SELECT pg_drop_replication_slot('forgotten')", database="shop")
        server.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO ann", database="shop")
        configure(sh, server.url_of("shop", user="ann"))
        assert "as far as this user may see (grant it pg_read_all_stats to see all)" in told(sh, well=True)
        sh.forget()


# What is away keeps nobody from looking at the rest


def test_a_store_that_is_away_is_told_of_once_and_the_others_are_looked_at(sh):
    away = '[brokers.away]\nurl = "postgresql://ann:s3cret@127.0.0.1:1/shop"\n'
    queues = '[queues.mail]\nbroker = "away"\n[queues.post]\nbroker = "away"\n'
    configure(sh, "sqlite:///tasks.db", more=LOG + away + queues)
    for store in ("main", "log"):
        sh("init", "--store", store)
    found = examine(sh)
    (wrong,) = [one for one in found if not one["well"]]
    assert wrong["subject"] == "postgresql://ann:***@127.0.0.1:1/shop"
    assert "does not answer; is the server running, and the address right?" in wrong["text"]
    looked_at = {one["subject"] for one in found if one["well"]}
    assert {f"sqlite:///{sh.folder}/tasks.db", "queue default", "clock"} <= looked_at
    assert "s3cret" not in json.dumps(found)


def test_a_task_log_that_is_away_is_told_of_and_the_broker_is_looked_at(sh):
    configure(sh, "sqlite:///tasks.db", more='[task_log]\nurl = "mysql://ann:s3cret@127.0.0.1:1/shop"\n')
    found = examine(sh)
    (wrong,) = [one for one in found if not one["well"]]
    assert wrong["subject"] == "mysql://ann:***@127.0.0.1:1/shop"
    assert f"sqlite:///{sh.folder}/tasks.db" in {one["subject"] for one in found if one["well"]}


def test_a_database_file_that_is_not_there_yet_is_not_made(sh):
    configure(sh, "sqlite:///tasks.db")
    assert "is not there yet: its first use makes it" in told(sh, well=True)
    assert not list(sh.folder.glob("tasks.db*"))


# SQS


def at_sqs(sh: Shell, options: str = "", endpoint: str | None = None) -> str:
    """The name of the queue at SQS."""
    prefix = f"d{new_id()[-12:]}_"
    said = f'endpoint_url = "{endpoint or sqs.endpoint()}"\nprefix = "{prefix}"\n{options}'
    configure(sh, f"sqs://{sqs.REGION}", options=said, more=LOG)
    return f"{prefix}default"


def test_a_queue_that_we_made_is_well_and_its_counts_are_said_to_be_estimates(sh):
    at_sqs(sh, 'dead_letter_queue = "letters"')
    sh("init")
    sh.enqueue(ADD, "a=1")
    wrong = told(sh, well=False)
    assert [line for line in wrong.splitlines() if "no worker serves it" not in line] == []
    said = told(sh, well=True)
    assert "queue default: about 1 waiting, 0 delayed, 0 with workers: SQS only estimates" in said
    assert "queue default: keeps messages for 14 d" in said
    assert "its dead letter queue letters is empty, about" in said
    assert "these credentials may find, look at, delete from and hide in it" in said


def test_a_queue_that_is_not_there_is_told_of_and_not_made(sh):
    name = at_sqs(sh, "create = false")
    assert f"{name} is not there -> create it, or set `create = true`" in told(sh, well=False)
    sh.forget()
    sh.config.write_text(sh.config.read_text().replace("create = false", ""))
    assert f"{name} is not there yet: `taskqueue init` or its first use makes it" in told(sh, well=True)
    assert not sqs.client().list_queues(QueueNamePrefix=name).get("QueueUrls")


def test_the_plan_of_an_init_tells_of_it_too(sh):
    at_sqs(sh)
    sh("init", "--store", "log")
    assert sh.type("init", "--plan").out.startswith("sqs://eu-west-1: create default (queue default)\n")
    sh("init")
    assert "create" not in sh("init", "--plan")


def test_attributes_that_do_not_fit_are_told_of_with_what_to_set(sh):
    name = at_sqs(sh)
    letters = sqs.client().create_queue(QueueName=f"{name}-letters")["QueueUrl"]
    arn = sqs.client().get_queue_attributes(QueueUrl=letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    attributes = {"MessageRetentionPeriod": "345600", "MaximumMessageSize": "2048", "RedrivePolicy": policy}
    sqs.client().create_queue(QueueName=name, Attributes=attributes)
    sqs.client().send_message(QueueUrl=letters, MessageBody="dead")
    said = told(sh, well=False)
    assert "keeps messages for 4 d only; what is gone then is pushed again after 7 d" in said
    assert "set MessageRetentionPeriod to 1209600, or lower repush_after" in said
    assert "takes messages of 2,048 bytes, the configuration allows 262,144" in said
    assert f"SQS moves messages to {name}-letters at their receipt number 3" in said
    assert "set maxReceiveCount of its RedrivePolicy to 1000" in said
    assert f"about 1 message in its dead letter queue {name}-letters" in said


def test_a_missing_permission_is_named(sh):
    url = 200, {"QueueUrl": "http://127.0.0.1:1/1/q"}
    with double(url, (200, {"Attributes": {}}), refusal("AccessDenied")) as server:
        at_sqs(sh, endpoint=server.url)
        said = told(sh, well=False)
    assert "access denied; allow sqs:DeleteMessage to these credentials" in said
    assert "access denied; allow sqs:ChangeMessageVisibility to these credentials" in said
    assert "AKIASECRET" not in said


def test_a_service_that_is_away_keeps_nobody_from_the_log(sh):
    at_sqs(sh, endpoint="http://127.0.0.1:1")
    sh("log", "list")
    found = examine(sh)
    assert {one["subject"] for one in found if not one["well"]} == {"queue default"}
    assert f"sqlite:///{sh.folder}/log.db" in {one["subject"] for one in found if one["well"]}
