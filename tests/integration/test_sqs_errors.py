"""What goes wrong at SQS: one clear line, the right class, no secret, and nothing lost."""

from __future__ import annotations

import os
import socket

import pytest

from taskqueue.brokers.sqs import SqsQueueBroker
from taskqueue.errors import BrokerUnavailable, ConfigurationError
from taskqueue.ids import new_id
from taskqueue.message import Message
from tests.support import sqs
from tests.support.sqs_double import double, refusal

FOUND = 200, {"QueueUrl": "http://127.0.0.1:1/1/taskqueue_mail"}


@pytest.fixture
def credentials(monkeypatch):
    for name, value in sqs.CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def at(endpoint, **options):
    return SqsQueueBroker("mail", region=sqs.REGION, options={"endpoint_url": endpoint, **options})


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        ("AccessDenied", ConfigurationError, "allow sqs:GetQueueUrl to these credentials"),
        ("AccessDeniedException", ConfigurationError, "access denied"),
        ("InvalidClientTokenId", ConfigurationError, "does not accept the credentials"),
        ("SignatureDoesNotMatch", ConfigurationError, "does not accept the credentials"),
        ("ExpiredToken", BrokerUnavailable, "have expired .* renew them"),
        ("SomethingNew", BrokerUnavailable, "was refused .SomethingNew."),
    ],
)
def test_a_refusal_is_one_line_without_what_the_service_said(code, kind, says):
    with double(refusal(code)) as server:
        broker = at(server.url)
        with pytest.raises(kind, match=f"'taskqueue_mail'.*{says}") as refused:
            broker.push([Message("a", b"x")])
        broker.close()
    assert "\n" not in str(refused.value)
    assert "AKIASECRET" not in str(refused.value)


@pytest.mark.usefixtures("credentials")
def test_throttling_backs_off_and_goes_on():
    sent = 200, {"Successful": [{"Id": "0"}], "Failed": []}
    with double(FOUND, refusal("ThrottlingException"), refusal("ThrottlingException"), sent) as server:
        broker = at(server.url)
        broker.push([Message("a", b"x")])
        broker.close()
    assert [action for action, _ in server.asked] == ["GetQueueUrl", *["SendMessageBatch"] * 3]


@pytest.mark.usefixtures("credentials")
def test_of_a_batch_only_what_failed_is_sent_again():
    partly = 200, {"Successful": [{"Id": "0"}, {"Id": "2"}], "Failed": [{"Id": "1", "SenderFault": False, "Code": "E"}]}
    with double(FOUND, partly, (200, {"Successful": [{"Id": "1"}], "Failed": []})) as server:
        broker = at(server.url)
        broker.push([Message(name, name.encode()) for name in "abc"])
        broker.close()
    sent = [[entry["MessageBody"] for entry in said["Entries"]] for _, said in server.asked[1:]]
    assert sent == [["a", "b", "c"], ["b"]]


@pytest.mark.usefixtures("credentials")
def test_what_fails_again_and_again_is_given_up():
    never = 200, {"Successful": [], "Failed": [{"Id": "0", "SenderFault": False, "Code": "InternalError"}]}
    with double(FOUND, never) as server:
        broker = at(server.url)
        with pytest.raises(BrokerUnavailable, match="did not take 1 of 1 messages"):
            broker.push([Message("a", b"x")])
        broker.close()
    assert len(server.asked) == 5


@pytest.mark.usefixtures("credentials")
def test_a_missing_queue_that_may_not_be_created_says_what_to_do():
    with double(refusal("QueueDoesNotExist")) as server:
        broker = at(server.url, create=False)
        with pytest.raises(BrokerUnavailable, match="does not exist; `taskqueue init`"):
            broker.initialize()
        broker.close()


@pytest.mark.usefixtures("credentials")
def test_a_server_that_is_not_there_is_unavailable():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        broker = at(f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(BrokerUnavailable, match=r"does not answer \(EndpointConnectionError\).*endpoint_url"):
            broker.push([Message("a", b"x")])
        broker.close()


def test_no_credentials_are_a_matter_of_configuration(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    broker = at("http://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match=r"no credentials.*as boto3 finds them"):
        broker.initialize()


@pytest.fixture
def mail():
    options = {"endpoint_url": sqs.endpoint(), "prefix": f"e{new_id()[-12:]}_"}
    brokers = []

    def opened(queue="mail", **more):
        brokers.append(SqsQueueBroker(queue, region=sqs.REGION, options=options | more))
        return brokers[-1]

    yield opened
    for broker in brokers:
        broker.close()


def test_a_queue_that_was_deleted_under_way_is_made_again_when_a_person_says_so(mail):
    broker = mail()
    broker.push([Message("a", b"x")])
    sqs.client().delete_queue(QueueUrl=broker._address.url)
    for step in (lambda: broker.push([Message("b", b"x")]), lambda: broker.pop(limit=1, lease=5), broker.depth):
        with pytest.raises(BrokerUnavailable, match="does not exist; `taskqueue init` or a starting worker creates it"):
            step()
    broker.initialize()
    broker.push([Message("c", b"x")])
    assert [d.id for d in broker.pop(limit=10, lease=5)] == ["c"]


def test_a_queue_is_made_with_two_weeks_of_retention(mail):
    assert mail()._address.attributes("MessageRetentionPeriod") == {"MessageRetentionPeriod": str(14 * 86400)}


def test_a_fifo_queue_is_one_at_sqs_too(mail):
    broker = mail("mail.fifo")
    assert broker._address.attributes("FifoQueue") == {"FifoQueue": "true"}
    broker.push([Message("a", b"x"), Message("b", b"y")])
    held = broker.pop(limit=10, lease=5)
    assert sorted(d.id for d in held) == ["a", "b"]
    assert len(broker.ack(held)) == 2


def test_a_dead_letter_queue_is_named_at_sqs(mail):
    dead = f"d{new_id()[-12:]}"
    policy = mail(dead_letter_queue=dead)._address.attributes("RedrivePolicy")["RedrivePolicy"]
    assert f':{dead}"' in policy
    assert '"maxReceiveCount": 1000' in policy


def test_what_comes_to_twelve_hours_is_handed_over(mail, monkeypatch):
    broker = mail()
    broker.push([Message("a", b"x")])
    held = broker.pop(limit=1, lease=30)
    assert len(broker.extend(held, lease=60)) == 1
    assert broker.extend(held, lease=13 * 3600) == set()
    (lease,) = broker._held.ours(held)
    lease.received -= 12 * 3600 - 30
    assert broker.extend(held, lease=60) == set()
    assert len(broker.ack(held)) == 1


def test_what_a_poll_brought_and_nobody_took_is_visible_again_when_the_handle_closes(mail):
    broker, other = mail(), mail()
    broker.push([Message("a", b"x")])
    assert broker.ready()
    assert other.pop(limit=1, lease=5) == []
    broker.close()
    assert [d.id for d in other.pop(limit=1, lease=5)] == ["a"]


def test_what_must_be_alone_is_handed_out_singly(mail):
    """R5"""
    broker = mail()
    broker.push([Message(name, b"x") for name in "abc"])
    held = broker.pop(limit=10, lease=30)
    assert len(broker.release(held[:2], alone=True)) == 2
    broker.release(held[2:])
    turns = [broker.pop(limit=10, lease=30) for _ in range(3)]
    assert sorted((one.id, one.alone) for turn in turns for one in turn) == [("a", True), ("b", True), ("c", False)]
    assert all(len(turn) == 1 for turn in turns if turn[0].alone)
