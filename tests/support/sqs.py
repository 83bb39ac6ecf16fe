"""SQS for tests: moto's server over HTTP on loopback, a process of its own, one for each process of tests.

Programs that a test starts find it by `TASKQUEUE_TEST_SQS`, and with it credentials that are good nowhere else.
Its clock can be moved forward, for all who use it.
"""

from __future__ import annotations

import atexit
import mmap
import os
import socket
import struct
import subprocess
import sys
import tempfile
from functools import cache

import boto3
from botocore.config import Config

from tests.support.eventually import eventually

VARIABLE = "TASKQUEUE_TEST_SQS"
REGION = "eu-west-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
#: Ends when its standard input does, so that it outlives nobody, however that one ended. Of moto two things are mended:
#: a message that is sent while another one is deleted gets lost; and all messages of a queue are counted at each call,
#: by a slow clock, and once more for each that is handed out.
SERVER = """
import mmap, os, struct, sys, threading, time
from moto.sqs import models
delete = models.Queue.delete_message
def delete_alone(queue, receipt):
    with queue._messages_lock:
        delete(queue, receipt)
models.Queue.delete_message = delete_alone
ahead = mmap.mmap(int(sys.argv[2]), 8)
models.unix_time_millis = lambda: (time.time() + struct.unpack("d", ahead)[0]) * 1000
models.SQSBackend.is_message_valid_based_on_retention_period = lambda *_: True
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from moto.server import main
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
"""


@cache
def _ahead() -> tuple[int, mmap.mmap]:
    """How far the server's clock is ahead, in memory that it shares with us: a descriptor of it, and itself."""
    with tempfile.TemporaryFile() as file:
        file.truncate(8)
        return os.dup(file.fileno()), mmap.mmap(file.fileno(), 8)


def advance(seconds: float) -> None:
    """Move the server's clock: what it hides comes sooner."""
    shared = _ahead()[1]
    shared[:] = struct.pack("d", struct.unpack("d", shared)[0] + seconds)


@cache
def endpoint() -> str:
    """The server's URL; starts it at the first call, and ends it with this process."""
    os.environ.update(CREDENTIALS)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"):
        os.environ.pop(name, None)
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = _start()
    return os.environ[VARIABLE]


def _start() -> str:
    port, ahead = _free_port(), _ahead()[0]
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(port), str(ahead)],
        pass_fds=[ahead],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    atexit.register(_end, server, os.getpid())
    eventually(lambda: _answers(port), what="an answer of the SQS server")
    return f"http://127.0.0.1:{port}"


def _end(server: subprocess.Popen[bytes], starter: int) -> None:
    if os.getpid() == starter:
        server.communicate()
        os.environ.pop(VARIABLE, None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@cache
def client():
    """Somebody else's hands at the server."""
    return boto3.client(
        "sqs", region_name=REGION, endpoint_url=endpoint(), config=Config(retries={"total_max_attempts": 1})
    )
