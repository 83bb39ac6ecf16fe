from __future__ import annotations

import pytest

from taskqueue.brokers.sqs import SqsQueueBroker
from taskqueue.brokers.sqs_messages import ATTRIBUTES, batches, largest_body, posted, queue_name
from taskqueue.errors import ConfigurationError
from taskqueue.message import Message
from taskqueue.plugins import Store


def test_our_own_messages_are_readable_text():
    assert posted(Message("a", '{"name": "Grüße"}'.encode())).text == '{"name": "Grüße"}'


@pytest.mark.parametrize("body", [b"", b"\x00", b"\xff", b"a\x0bb", "\ufffe".encode()])
def test_what_sqs_does_not_take_as_text_goes_as_base64(body):
    assert posted(Message("a", body)).encoding == "base64"


def test_a_batch_has_ten_messages_and_no_more_bytes_than_one_call_takes():
    small = [posted(Message(str(n), b"x")) for n in range(25)]
    assert [len(batch) for batch in batches(small, 256 * 1024)] == [10, 10, 5]
    large = [posted(Message(str(n), b"x" * 100_000)) for n in range(5)]
    assert [len(batch) for batch in batches(large, 256 * 1024)] == [2, 2, 1]


def test_a_body_of_the_largest_size_fits_whatever_its_bytes():
    size = 256 * 1024
    assert posted(Message("a", bytes(largest_body(size)))).size <= size < ATTRIBUTES + 4 * largest_body(size)


def test_the_name_has_the_prefix_and_may_end_in_fifo():
    assert queue_name("shop_", "mail") == "shop_mail"
    assert queue_name("", "mail.fifo") == "mail.fifo"


@pytest.mark.parametrize("queue", ["Grüße", "a b", "a.b", "x" * 76, "a.fifo.b"])
def test_a_name_that_sqs_does_not_have_is_refused(queue):
    with pytest.raises(ConfigurationError, match="rename the queue, or change the broker's prefix"):
        queue_name("shop_", queue)


@pytest.mark.parametrize("url", ["sqs://", "sqs://KEY:s3cret@eu-west-1", "sqs://eu-west-1/queue"])
def test_a_url_is_a_region_and_shows_no_secret(url):
    with pytest.raises(ConfigurationError, match="as in sqs://eu-west-1") as refused:
        SqsQueueBroker.open(Store(url=url, options={}), "mail")
    assert "s3cret" not in str(refused.value)
