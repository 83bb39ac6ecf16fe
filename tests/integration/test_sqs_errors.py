"""What goes wrong at SQS: one clear line, the right class, no secret, and nothing lost."""

from __future__ import annotations

import json
import os
import socket

import pytest

from taskqueue.brokers import sqs_calls
from taskqueue.brokers.sqs import SqsQueueBroker
from taskqueue.errors import BrokerUnavailable, ConfigurationError
from taskqueue.ids import new_id
from taskqueue.message import Message
from tests.support import sqs
from tests.support.eventually import eventually
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


RECEIVED = {"MessageId": "m", "ReceiptHandle": "r", "Body": "x"}
TAKEN = 200, {"Messages": [RECEIVED]}
EACH_CALL = {
    "CreateQueue": (lambda broker: broker.initialize(), [refusal("QueueDoesNotExist")]),
    "SendMessage": (lambda broker: broker.push([Message("a", b"x")]), [FOUND]),
    "ReceiveMessage": (lambda broker: broker.pop(limit=1, lease=5), [FOUND]),
    "DeleteMessage": (lambda broker: broker.ack(broker.pop(limit=1, lease=5)), [FOUND, TAKEN]),
    "ChangeMessageVisibility": (lambda broker: broker.release(broker.pop(limit=1, lease=5)), [FOUND, TAKEN]),
    "GetQueueAttributes": (lambda broker: broker.depth(), [FOUND]),
}


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("action", EACH_CALL)
@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (refusal("AccessDenied"), ConfigurationError, "access denied; allow sqs:{action} to these credentials"),
        (refusal("InternalError", 500), BrokerUnavailable, "InternalError.; it is tried again"),
        (refusal("RequestThrottled"), BrokerUnavailable, "RequestThrottled.; it is tried again"),
        ((503, {}), BrokerUnavailable, "it is tried again"),
    ],
)
def test_each_call_fails_in_one_line_that_says_what_to_do(action, answer, kind, says):
    step, before = EACH_CALL[action]
    if action in ("DeleteMessage", "ChangeMessageVisibility"):
        kind = BrokerUnavailable  # a worker that holds something waits until that is put right
    with double(*before, answer) as server:
        broker = at(server.url)
        with pytest.raises(kind, match=f"'taskqueue_mail'.*{says.format(action=action)}") as failed:
            step(broker)
        broker._held = type(broker._held)()
        broker.close()
    assert "\n" not in str(failed.value)
    assert "AKIASECRET" not in str(failed.value)
    assert server.asked[-1][0].startswith(action)


@pytest.mark.usefixtures("credentials")
def test_what_worked_before_is_waited_for():
    with double(FOUND, (200, {}), refusal("AccessDenied")) as server:
        broker = at(server.url)
        assert broker.pop(limit=1, lease=5) == []
        with pytest.raises(BrokerUnavailable, match="allow sqs:ReceiveMessage"):
            broker.pop(limit=1, lease=5)
        broker.close()


@pytest.mark.usefixtures("credentials")
def test_errors_in_the_middle_of_a_long_poll_reach_who_waits(capfd):
    with double(FOUND, (200, {}), refusal("AccessDenied")) as server:
        broker = at(server.url)
        with pytest.raises(BrokerUnavailable, match="allow sqs:ReceiveMessage"):
            broker.wait(5)
        broker.close()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.usefixtures("credentials")
def test_a_queue_that_was_deleted_a_moment_ago_is_made_when_aws_lets_us():
    with double(refusal("QueueDoesNotExist"), refusal("QueueDeletedRecently")) as server:
        broker = at(server.url)
        with pytest.raises(BrokerUnavailable, match="deleted less than 60 s ago.*it is tried again"):
            broker.push([Message("a", b"x")])
        broker.close()


@pytest.mark.usefixtures("credentials")
def test_a_region_that_nobody_answers_for_says_where_to_look(monkeypatch):
    # No name of a region is looked up here: whatever it is, the way there is closed.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    broker = SqsQueueBroker("mail", region="eu-nowhere-7", options={})
    with pytest.raises(BrokerUnavailable, match=r"in region eu-nowhere-7 does not answer .*the region in the url"):
        broker.initialize()
    broker.close()


@pytest.mark.usefixtures("credentials")
def test_credentials_for_another_region_are_refused_with_a_word_on_the_region():
    with double(refusal("InvalidSignatureException", 403)) as server:
        broker = at(server.url)
        with pytest.raises(ConfigurationError, match="does not accept the credentials.*look at the region in the url"):
            broker.initialize()
        broker.close()


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
        with pytest.raises(BrokerUnavailable, match="does not exist; make it, or set create = true"):
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
    sqs_calls._session.cache_clear()  # it has found some in this process
    broker = at("http://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match=r"no credentials.*as boto3 finds them"):
        broker.initialize()


@pytest.fixture
def mail():
    options = {"endpoint_url": sqs.endpoint(), "prefix": f"e{new_id()[-12:]}_"}
    brokers = []

    def opened(queue="mail", longest_lease=12 * 3600, **more):
        brokers.append(SqsQueueBroker(queue, region=sqs.REGION, options=options | more, longest_lease=longest_lease))
        return brokers[-1]

    yield opened
    for broker in brokers:
        broker.close()


@pytest.mark.parametrize("step", ["push", "pop", "depth", "wait"])
def test_a_queue_that_was_deleted_under_way_is_made_anew_at_the_next_try(mail, step):
    broker = mail()
    broker.push([Message("a", b"x")])
    sqs.client().delete_queue(QueueUrl=broker._address.url)
    steps = {
        "push": lambda: broker.push([Message("b", b"x")]),
        "pop": lambda: broker.pop(limit=1, lease=5),
        "depth": broker.depth,
        "wait": lambda: broker.wait(1),
    }
    with pytest.raises(BrokerUnavailable, match="does not exist; it is made at the next try"):
        steps[step]()
    broker.push([Message("c", b"x")])
    assert [d.id for d in broker.pop(limit=10, lease=5)] == ["c"]


def test_a_deleted_queue_that_may_not_be_created_stays_away_with_a_word_of_what_to_do(mail):
    broker = mail()
    broker.push([Message("a", b"x")])
    poor = mail(create=False)
    assert poor.depth().waiting == 1
    sqs.client().delete_queue(QueueUrl=broker._address.url)
    for _ in range(2):
        with pytest.raises(BrokerUnavailable, match="does not exist; make it, or set create = true in its broker"):
            poor.pop(limit=1, lease=5)


def test_a_queue_is_made_with_two_weeks_of_retention(mail):
    assert mail()._address.attributes("MessageRetentionPeriod") == {"MessageRetentionPeriod": str(14 * 86400)}


def test_a_fifo_queue_is_one_at_sqs_too(mail):
    broker = mail("mail.fifo")
    assert broker._address.attributes("FifoQueue") == {"FifoQueue": "true"}
    broker.push([Message("a", b"x"), Message("b", b"y")])
    held = broker.pop(limit=10, lease=5)
    assert sorted(d.id for d in held) == ["a", "b"]
    assert len(broker.ack(held)) == 2


def policy_of(broker):
    return json.loads(broker._address.attributes("RedrivePolicy")["RedrivePolicy"])


def test_a_dead_letter_queue_is_made_and_named_at_sqs(mail):
    """R5"""
    dead = f"d{new_id()[-12:]}"
    policy = policy_of(mail(dead_letter_queue=dead))
    assert policy["deadLetterTargetArn"].endswith(f":{dead}")
    assert policy["maxReceiveCount"] == 1000


def test_that_of_a_fifo_queue_is_one_too(mail):
    dead = f"d{new_id()[-12:]}"
    policy = policy_of(mail("mail.fifo", dead_letter_queue=dead))
    assert policy["deadLetterTargetArn"].endswith(f":{dead}.fifo")


def test_initializing_attaches_it_to_a_queue_that_has_none_and_changes_no_other(mail):
    """P17"""
    first, second = f"d{new_id()[-12:]}", f"d{new_id()[-12:]}"
    mail().initialize()
    mail(dead_letter_queue=first).initialize()
    mail(dead_letter_queue=second).initialize()
    assert policy_of(mail())["deadLetterTargetArn"].endswith(f":{first}")


def test_a_queue_is_not_its_own_dead_letter_queue(mail):
    with pytest.raises(ConfigurationError, match="named as its own dead letter queue; name another one"):
        mail(prefix="", dead_letter_queue="mail")


def test_what_comes_to_the_longest_lease_of_sqs_is_handed_over(mail):
    broker, other = mail(longest_lease=8), mail()
    broker.push([Message("a", b"x")])
    held = broker.pop(limit=1, lease=3)
    assert broker.extend(held, lease=3) == {held[0].receipt}
    # At last one would go past the eight seconds: SQS would refuse it, and the message comes to somebody else.
    assert eventually(lambda: broker.extend(held, lease=3) == set())
    again = eventually(lambda: other.pop(limit=1, lease=30), what="the message in other hands")
    assert [d.id for d in again] == ["a"]
    assert eventually(lambda: broker.ack(held) == set())
    assert len(other.ack(again)) == 1


def test_no_lease_is_longer_than_the_twelve_hours_of_sqs(mail):
    broker = mail()
    broker.push([Message("a", b"x")])
    held = broker.pop(limit=1, lease=30)
    assert broker.extend(held, lease=13 * 3600) == set()
    assert len(broker.release(held, delay=20 * 3600)) == 1


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
