"""What is shown of the stacks of a process that had to be ended. Real ones, of real processes."""

from __future__ import annotations

import subprocess
import sys

import taskqueue
from supervisor.stacks import readable
from tests.support.programs import ROOT

OURS = f"{taskqueue.__path__[0]}/"
RAW = f"""Timeout (0:00:06)!
Thread 0x00007f01 (most recent call first):
  File "{OURS}worker/orders.py", line 106 in wait
  File "{OURS}worker/lifeline.py", line 118 in _rest
  File "/usr/lib/python3.11/threading.py", line 1045 in _bootstrap_inner

Thread 0x00007f02 (most recent call first):
  File "/srv/shop/pool.py", line 7 in wait
  File "/usr/lib/python3.11/threading.py", line 1045 in _bootstrap_inner

Current thread 0x00007f03 (most recent call first):
  File "/usr/lib/python3.11/re/__init__.py", line 166 in match
  File "/srv/shop/tasks.py", line 16 in hang
  File "{OURS}task/signature.py", line 121 in call
  File "{OURS}worker/runner.py", line 90 in _call

Extension modules: msgspec._core (total: 1)
"""
SHOWN = """Timeout (0:00:06)!
Current thread 0x00007f03 (most recent call first):
  File "/usr/lib/python3.11/re/__init__.py", line 166 in match
  File "/srv/shop/tasks.py", line 16 in hang
Thread 0x00007f02 (most recent call first):
  File "/srv/shop/pool.py", line 7 in wait
  File "/usr/lib/python3.11/threading.py", line 1045 in _bootstrap_inner"""


def test_the_task_s_own_frames_come_first_and_ours_are_left_out():
    assert readable(RAW) == SHOWN


def test_what_a_process_without_a_task_leaves_says_why_alone():
    threads = RAW.replace("/srv/shop/", OURS)
    assert readable(threads.partition("Current thread")[0]) == "Timeout (0:00:06)!"


def test_what_nobody_knows_stays_as_it_is():
    assert readable("") == ""
    assert readable("panic: no room\n") == "panic: no room"


def test_what_the_interpreter_writes_today_is_understood():
    program = "import faulthandler; faulthandler.enable()\ndef deep(): import os; os.abort()\ndeep()"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    shown = readable(ended.stderr)
    assert shown.startswith("Fatal Python error: Aborted")
    assert "in deep" in shown
    assert "Extension modules" not in shown
