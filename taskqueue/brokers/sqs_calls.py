"""Calls to SQS: clients made when they are needed, batches of which a part may fail, errors in one line each.

What AWS or botocore says is not repeated in full: it may hold keys.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from taskqueue.errors import BrokerUnavailable, ConfigurationError, TaskQueueError

#: of one call, in seconds; the long poll waits longer than its poll
CONNECT, ANSWER = 3, 5
#: how often what failed in a batch is sent again, and the first pause before that in seconds
AGAIN, PAUSE = 4, 0.1
_ABOUT_WHAT_IS_HELD = ("delete_message_batch", "change_message_visibility_batch")
_CREDENTIALS = (
    "give the process credentials as boto3 finds them: AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, a profile, or a role"
)
_GONE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
_JUST_DELETED = ("AWS.SimpleQueueService.QueueDeletedRecently", "QueueDeletedRecently")
_DENIED = ("AccessDenied", "AccessDeniedException", "KMS.AccessDeniedException", "AuthorizationError")
_UNKNOWN = (
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "InvalidAccessKeyId",
    "InvalidSecurity",
    "IncompleteSignature",
    "MissingAuthenticationToken",
    "AuthFailure",
)


class Calls:
    """One queue's calls. Safe in threads and after a fork: each process makes its own client."""

    def __init__(self, queue: str, *, region: str, endpoint: str | None, create: bool) -> None:
        self._queue, self._region, self._endpoint, self._create = queue, region, endpoint, create
        self._worked = set[str]()
        self._lock = threading.Lock()
        self._clients: dict[tuple[int, int], Any] = {}

    def call(self, name: str, *, waiting: int = 0, **parameters: Any) -> Mapping[str, Any]:
        """The answer; ConfigurationError for what can never work, BrokerUnavailable for what may later.

        `waiting`: for how long SQS may keep us waiting before it answers.
        """
        import botocore.exceptions

        try:
            answer: Mapping[str, Any] = getattr(self._client(waiting), name)(**parameters)
            self._worked.add(name)
        except botocore.exceptions.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            raise self._refusal(name, code) from error
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.HTTPClientError, ValueError) as error:
            raise self._failure(error) from error
        return answer

    def batch(self, name: str, url: str, entries: Sequence[Mapping[str, Any]]) -> set[int]:
        """One batch call; the places of those entries that were done.

        What the server could not do is sent again, only that and not for ever. What is wrong with an entry itself
        (a receipt that is no longer valid) is not done, and no error.
        """
        left, done = dict(enumerate(entries)), set[int]()
        for turn in range(AGAIN):
            numbered = [{"Id": str(place), **entry} for place, entry in left.items()]
            answer = self.call(name, QueueUrl=url, Entries=numbered)
            done |= {int(one["Id"]) for one in answer.get("Successful", ())}
            failed = {int(one["Id"]): one for one in answer.get("Failed", ())}
            left = {place: left[place] for place, one in failed.items() if not one.get("SenderFault")}
            if not left:
                return done
            pause(turn)
        raise BrokerUnavailable(f"{self._where()}: the service did not take {len(left)} of {len(entries)} messages")

    def _client(self, waiting: int) -> Any:
        key = os.getpid(), waiting
        with self._lock:  # making a client is not safe in threads
            if key not in self._clients:
                self._clients = {k: client for k, client in self._clients.items() if k[0] == key[0]}
                self._clients[key] = self._made(waiting)
            return self._clients[key]

    def _made(self, waiting: int) -> Any:
        from botocore.config import Config

        config = Config(
            connect_timeout=CONNECT,
            read_timeout=ANSWER + waiting,
            retries={"mode": "standard", "total_max_attempts": 1 if waiting else 3},
        )
        session, lock = _session(os.getpid())
        with lock:
            return session.client("sqs", region_name=self._region, endpoint_url=self._endpoint, config=config)

    def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for (process, _), client in clients.items():
            if process == os.getpid():
                client.close()

    def _where(self) -> str:
        place = "the configured endpoint_url" if self._endpoint else f"region {self._region}"
        return f"SQS queue {self._queue!r} in {place}"

    def _refusal(self, name: str, code: str) -> TaskQueueError:
        if code in _GONE:
            then = (
                "it is made at the next try" if self._create else "make it, or set create = true in its broker's table"
            )
            return QueueMissing(f"{self._where()} does not exist; {then}")
        if code in _JUST_DELETED:
            return BrokerUnavailable(
                f"{self._where()} was deleted less than 60 s ago, and AWS makes it anew only after that; "
                "it is tried again"
            )
        if code in _DENIED:
            action = "sqs:" + "".join(word.title() for word in name.removesuffix("_batch").split("_"))
            return self._hopeless(name, f"access denied; allow {action} to these credentials")
        if code in _UNKNOWN:
            said = f"AWS does not accept the credentials ({code}); look at the region in the url, and {_CREDENTIALS}"
            return self._hopeless(name, said)
        if code in ("ExpiredToken", "ExpiredTokenException", "RequestExpired"):
            return BrokerUnavailable(f"{self._where()}: the credentials have expired ({code}); renew them")
        return BrokerUnavailable(f"{self._where()}: {name} was refused ({code or 'no code'}); it is tried again")

    def _hopeless(self, name: str, said: str) -> TaskQueueError:
        """What must be put right by a person. Who holds something, or worked before, waits for that (P15)."""
        kind = BrokerUnavailable if name in _ABOUT_WHAT_IS_HELD or name in self._worked else ConfigurationError
        return kind(f"{self._where()}: {said}")

    def _failure(self, error: Exception) -> TaskQueueError:
        kind = type(error).__name__
        if "Credential" in kind or kind in ("ProfileNotFound", "TokenRetrievalError", "SSOTokenLoadError"):
            return ConfigurationError(f"{self._where()}: no credentials ({kind}); {_CREDENTIALS}")
        if kind in ("NoRegionError", "InvalidRegionError"):
            return ConfigurationError(f"{self._where()}: no such region; write it in the url, as in sqs://eu-west-1")
        if isinstance(error, ValueError) or kind == "ParamValidationError":
            return ConfigurationError(f"{self._where()}: no address can be made of its url and endpoint_url ({kind})")
        return BrokerUnavailable(
            f"{self._where()} does not answer ({kind}); look at the network, the region in the url, and endpoint_url"
        )


@cache
def _session(_process: int) -> tuple[Any, threading.Lock]:
    """What makes all clients of a process, one at a time: its first reads the service's models, which takes 0.1 s."""
    import boto3

    return boto3.session.Session(), threading.Lock()


class QueueMissing(BrokerUnavailable):
    """The queue is not there (any more)."""


def pause(turn: int) -> None:
    """Back off, longer at each turn, each at its own pace."""
    threading.Event().wait(PAUSE * 2**turn * random.uniform(0.5, 1.0))
