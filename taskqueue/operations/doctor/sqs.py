"""A queue at SQS: whether it is there, whether its attributes fit, and what these credentials may do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from taskqueue.app import App
from taskqueue.brokers.sqs_address import MAX_RECEIVES, RETENTION
from taskqueue.brokers.sqs_calls import Calls, QueueMissing
from taskqueue.brokers.sqs_messages import queue_name
from taskqueue.errors import BrokerUnavailable, ConfigurationError
from taskqueue.operations.doctor.finding import Finding, ill, well
from taskqueue.operations.times import seconds
from taskqueue.operations.words import count
from taskqueue.settings.model import BrokerSettings

#: what can be tried without doing anything, as no such message is held: the call, and what else an entry of it says
_HARMLESS = {
    "delete_message_batch": {},
    "change_message_visibility_batch": {"VisibilityTimeout": 0},
}
_NUMBER = "ApproximateNumberOfMessages"


def serves(broker: BrokerSettings) -> bool:
    """Whether this broker's queues are at SQS."""
    return broker.scheme == "sqs"


def queue(app: App, name: str) -> Iterator[Finding]:
    """One queue. Raises what its calls do: access denied, no answer, ..."""
    subject, said = f"queue {name}", app.settings.brokers[app.settings.queues[name].broker].options
    with _calls(app, name) as (place, calls):
        if url := _url(place, calls):
            yield from _examined(subject, calls, url, said)
        else:
            yield _missing(subject, place, creates=said["create"])


def is_there(app: App, name: str) -> bool:
    """Whether SQS has that queue."""
    with _calls(app, name) as (place, calls):
        return bool(_url(place, calls))


@contextmanager
def _calls(app: App, name: str) -> Iterator[tuple[str, Calls]]:
    broker = app.settings.brokers[app.settings.queues[name].broker]
    place = queue_name(broker.options["prefix"], name)
    region, endpoint = broker.url.partition("://")[2].rstrip("/"), broker.options["endpoint_url"]
    calls = Calls(place, region=region, endpoint=endpoint, create=broker.options["create"])
    try:
        yield place, calls
    finally:
        calls.close()


def _url(place: str, calls: Calls) -> str:
    """Empty if it is not there."""
    try:
        return str(calls.call("get_queue_url", QueueName=place)["QueueUrl"])
    except QueueMissing:
        return ""


def _missing(subject: str, place: str, *, creates: bool) -> Finding:
    if creates:
        return well(subject, f"{place} is not there yet: `taskqueue init` or its first use makes it")
    return ill(subject, f"{place} is not there", "create it, or set `create = true` in the broker's table")


def _examined(subject: str, calls: Calls, url: str, said: Mapping[str, Any]) -> Iterator[Finding]:
    has = calls.call("get_queue_attributes", QueueUrl=url, AttributeNames=["All"]).get("Attributes", {})
    waiting, delayed, hidden = (int(has.get(_NUMBER + kind, 0)) for kind in ("", "Delayed", "NotVisible"))
    yield well(subject, f"about {waiting:,} waiting, {delayed:,} delayed, {hidden:,} with workers: SQS only estimates")
    yield _retention(subject, int(has.get("MessageRetentionPeriod", RETENTION)), said["repush_after"])
    yield well(subject, f"hides messages for {seconds(int(has.get('VisibilityTimeout', 0)))} unless a worker says more")
    size = int(has.get("MaximumMessageSize", said["max_message_size"]))
    if size < said["max_message_size"]:
        yield ill(
            subject,
            f"takes messages of {size:,} bytes, the configuration allows {said['max_message_size']:,}",
            "raise MaximumMessageSize of the queue, or lower max_message_size in the broker's table",
        )
    yield from _redrive(subject, calls, json.loads(has.get("RedrivePolicy") or "{}"), said["dead_letter_queue"])
    yield from _permissions(subject, calls, url)


def _retention(subject: str, kept: int, repush_after: float) -> Finding:
    """A message that SQS has dropped is pushed again from the task log, but not before `repush_after`."""
    if kept > repush_after:
        return well(subject, f"keeps messages for {seconds(kept)}")
    return ill(
        subject,
        f"keeps messages for {seconds(kept)} only; what is gone then is pushed again after {seconds(repush_after)}",
        f"set MessageRetentionPeriod to {RETENTION}, or lower repush_after in the broker's table",
    )


def _redrive(subject: str, calls: Calls, policy: Mapping[str, Any], named: str | None) -> Iterator[Finding]:
    if not policy:
        if named:
            yield ill(subject, f"has no dead letter queue, {named} is configured", "set its RedrivePolicy")
        return
    most, letters = int(policy.get("maxReceiveCount", 0)), str(policy.get("deadLetterTargetArn", "")).rpartition(":")[2]
    if most < MAX_RECEIVES:
        yield ill(
            subject,
            f"SQS moves messages to {letters} at their receipt number {most}, though their tasks are to run again",
            f"set maxReceiveCount of its RedrivePolicy to {MAX_RECEIVES}: the task log counts crashes (max_crashes)",
        )
    url = _url(letters, calls)
    if not url:
        yield ill(subject, f"its dead letter queue {letters} is not there", "create it, or remove the RedrivePolicy")
        return
    has = calls.call("get_queue_attributes", QueueUrl=url, AttributeNames=[_NUMBER]).get("Attributes", {})
    dead = int(has.get(_NUMBER, 0))
    if dead:
        yield ill(
            subject,
            f"about {count(dead, 'message')} in its dead letter queue {letters}",
            "look at them (`taskqueue stuck list`), and move them back by a redrive",
        )
    else:
        yield well(subject, f"its dead letter queue {letters} is empty, about")


def _permissions(subject: str, calls: Calls, url: str) -> Iterator[Finding]:
    """Those that a worker needs and that can be tried without doing anything; sending and receiving cannot."""
    denied = False
    for call, more in _HARMLESS.items():
        try:
            calls.batch(call, url, [{"ReceiptHandle": "none", **more}])
        except (BrokerUnavailable, ConfigurationError) as error:
            denied = True
            yield ill(subject, str(error), "look at the policies of the queue and of these credentials")
    if not denied:
        yield well(subject, "these credentials may find, look at, delete from and hide in it")
