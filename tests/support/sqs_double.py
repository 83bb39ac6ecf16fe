"""A server that answers as SQS does when things go wrong: each answer as the test says, the last one for ever."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest
from botocore.retries.standard import ExponentialBackoff


class Double:
    """What it was asked, as (action, parameters). What is said `by_action` is always its answer to that."""

    def __init__(self, answers: Sequence[tuple[int, Any]], by_action: Mapping[str, tuple[int, Any]]) -> None:
        self.answers = list(answers)
        self.by_action = by_action
        self.asked: list[tuple[str, Any]] = []
        self.url = ""

    def answer(self, action: str, parameters: Any) -> tuple[int, Any]:
        self.asked.append((action, parameters))
        if action in self.by_action:
            return self.by_action[action]
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def refusal(code: str, status: int = 400) -> tuple[int, Any]:
    return status, {"__type": f"com.amazonaws.sqs#{code}", "message": "AKIASECRET is not allowed to do that"}


@contextmanager
def double(*answers: tuple[int, Any], by_action: Mapping[str, tuple[int, Any]] | None = None) -> Iterator[Double]:
    """Runs as long as the block. Who asks it from this process repeats a call that failed at once."""
    known = Double(answers, by_action or {})

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            parameters = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            status, body = known.answer(self.headers["X-Amz-Target"].removeprefix("AmazonSQS."), parameters)
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        known.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
                yield known
        finally:
            server.shutdown()
            thread.join()


class Relay:
    """Stands before a real server and passes everything on, until it is `broken`: then it answers errors.

    The action that is `denied` it refuses, as AWS does where a permission is missing.
    """

    def __init__(self, target: str) -> None:
        self.broken = False
        self.denied = ""
        self.refused = 0
        self._target = target
        self.url = ""

    def __enter__(self) -> Self:
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = relay.passed_on(self.headers, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(answer)))
                with contextlib.suppress(ConnectionError):  # who was killed waits for no answer
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def passed_on(self, headers: Any, body: bytes) -> tuple[int, bytes]:
        if self.broken:
            self.refused += 1
            return 503, b'{"__type": "com.amazonaws.sqs#ServiceUnavailable"}'
        if self.denied and headers["X-Amz-Target"].endswith(f".{self.denied}"):
            return 400, b'{"__type": "com.amazonaws.sqs#AccessDenied"}'
        kept = {name: value for name, value in headers.items() if name.lower() not in ("host", "content-length")}
        request = urllib.request.Request(self._target, body, kept)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
