"""What goes wrong at SQS, at the command line: one clear line, the right exit code, nothing lost, no secret."""

from __future__ import annotations

from functools import cache

import pytest

from taskqueue.brokers import sqs_calls
from taskqueue.ids import new_id
from taskqueue.status import Status
from tests.support import sqs
from tests.support.shell import shell
from tests.support.sqs_double import double, refusal

ADD = "tests.support.errands:add"
CONFIG = """
[app]
modules = ["tests.support.errands"]
[brokers.main]
url = "sqs://{region}"
{endpoint}
prefix = "{prefix}"
wait_time = 0
[task_log]
url = "sqlite:///log.db"
[queues.default]
[queues."ordered.fifo"]
"""
KEY = "AKIAIOSFODNN7EXAMPLE"


@pytest.fixture
def sh_at(tmp_path, monkeypatch):
    """A shell whose queues are at that server."""
    sqs.endpoint()  # what it puts into the environment is for the whole process, and not to be taken back here
    for name, value in {**sqs.CREDENTIALS, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": "hush"}.items():
        monkeypatch.setenv(name, value)

    def opened(endpoint, region=sqs.REGION):
        line = f'endpoint_url = "{endpoint}"' if endpoint else ""
        return shell(tmp_path, config=CONFIG.format(region=region, endpoint=line, prefix=f"c{new_id()[-12:]}_"))

    return opened


def refused(ran, code, says):
    assert ran.code == code, ran
    assert says in ran.line
    assert KEY not in ran.err
    assert "hush" not in ran.err
    assert "AKIASECRET" not in ran.err


def test_group_and_key_reach_the_entry_and_tasks_of_a_group_run_in_order(sh_at):
    with sh_at(sqs.endpoint()) as sh:
        said = ["--queue", "ordered.fifo", "--group", "customer-7"]
        first = sh.enqueue(ADD, "a=1", *said, "--key", "order-9")
        assert sh.enqueue(ADD, "a=1", *said, "--key", "order-9") == first
        second = sh.enqueue(ADD, "a=2", *said)
        assert f"It waits for task {first}, which comes before it in group 'customer-7'" in sh("log", "why", second)
        shown = sh("log", "show", first)
        assert "customer-7" in shown
        assert "order-9" in shown
        assert sh.type("worker", "ordered.fifo", "--drain").code == 0
        entries = {entry["id"]: entry for entry in sh.json("log", "list")["entries"]}
        assert entries[first]["group_name"] == entries[second]["group_name"] == "customer-7"
        assert entries[first]["finished_at"] < entries[second]["started_at"]
        assert len(entries) == 2


def test_counts_are_said_to_be_approximate(sh_at):
    with sh_at(sqs.endpoint()) as sh:
        sh.enqueue(ADD, "a=1")
        default, _ = sh.json("queues")
        assert (default["waiting"], default["approximate"]) == (1, True)
        ran = sh.type("queues", terminal=True)
        assert "~1" in ran.out
        assert "~: about, as far as its service knows" in ran.err


@pytest.mark.parametrize("command", [["init"], ["queues"], ["enqueue", ADD, "a=1"]])
@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("AccessDenied", "access denied; allow sqs:GetQueueUrl to these credentials"),
        ("InvalidClientTokenId", "AWS does not accept the credentials (InvalidClientTokenId)"),
    ],
)
def test_what_can_never_work_is_exit_code_78(sh_at, command, code, says):
    with double(refusal(code)) as server, sh_at(server.url) as sh:
        refused(sh.type(*command), 78, says)
        assert sh.json("log", "list")["entries"] == []


def test_missing_credentials_are_exit_code_78_and_nothing_is_enqueued(sh_at, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(sqs_calls, "_session", cache(sqs_calls._session.__wrapped__))  # the process' own has found them
    with sh_at("http://127.0.0.1:1") as sh:
        for command in (["init"], ["enqueue", ADD, "a=1"], ["worker", "--once"]):
            ran = sh.type(*command)
            assert ran.code == 78, ran
            assert "no credentials (NoCredentialsError); give the process credentials as boto3 finds them" in ran.err
        assert sh.json("log", "list")["entries"] == []


def test_a_region_that_nobody_answers_for_is_exit_code_1(sh_at, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # whatever its name resolves to, the way is closed
    with sh_at("", region="eu-nowhere-7") as sh:
        refused(sh.type("init"), 1, "in region eu-nowhere-7 does not answer")
        ran = sh.type("enqueue", ADD, "a=1")
        assert ran.code == 0  # its entry is there, and leaves when SQS answers
        assert "the region in the url" in ran.err
        assert [entry["status"] for entry in sh.json("log", "list")["entries"]] == ["enqueued"]


@pytest.mark.parametrize("region", ["mars!", "", "eu-west-1/extra"])
def test_what_is_no_region_is_a_matter_of_configuration(sh_at, region):
    with sh_at("", region=region) as sh:
        refused(sh.type("init"), 78, "its broker's url names a region and nothing else, as in sqs://eu-west-1")


def test_an_endpoint_that_is_none_is_a_matter_of_configuration(sh_at):
    with sh_at("no url at all") as sh:
        refused(sh.type("init"), 78, "no address can be made of its url and endpoint_url")


def test_a_server_that_is_not_there_is_exit_code_1(sh_at):
    with sh_at("http://127.0.0.1:1") as sh:
        refused(sh.type("init"), 1, "the configured endpoint_url does not answer (EndpointConnectionError)")


def test_a_body_over_the_limit_is_exit_code_1_and_enqueues_nothing(sh_at):
    with sh_at(sqs.endpoint()) as sh:
        ran = sh.type("enqueue", "tests.support.errands:give_up", "text=" + "x" * 200_000)
        refused(ran, 1, "queue 'default' takes 195,072; store the data elsewhere and pass a reference")
        assert sh.json("log", "list")["entries"] == []


def test_a_message_from_somebody_else_is_said_once_and_holds_nothing_up(sh_at):
    """P7"""
    with sh_at(sqs.endpoint()) as sh:
        good = sh.enqueue(ADD, "a=1")
        url = sh.app.queues["default"].broker._address.url
        sqs.client().send_message(QueueUrl=url, MessageBody="not ours")
        ran = sh.type("worker", "--drain")
        assert ran.code == 0
        assert ran.err.count("message refused") == 1
        assert "Traceback" not in ran.err
        assert sh.app.dispatcher.task_log.status(good) is Status.COMPLETED
