from __future__ import annotations

import subprocess
import sys

import pytest

import taskqueue

HEAVY = ("sqlalchemy", "alembic", "boto3", "botocore", "rich", "click", "psutil", "setproctitle", "tomli", "asyncio")


def test_importing_it_is_light() -> None:
    script = f"import sys, taskqueue; print([name for name in {HEAVY!r} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_what_it_does_not_have_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        taskqueue.nonsense  # noqa: B018  # that is what is refused
