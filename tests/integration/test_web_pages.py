"""What a page says of a task, without a browser."""

from __future__ import annotations

import pytest

from taskqueue.app import App
from taskqueue.ids import new_id
from taskqueue.settings import parse
from taskqueue.status import Status
from taskqueue.tasklog.entry import Entry
from taskqueue.web.pages.sheet import sheet_of


@pytest.fixture
def app(tmp_path):
    app = App(parse('[brokers.main]\nurl = "sqlite:///tasks.db"\n[queues.default]\n', file=tmp_path / "taskqueue.toml"))
    app.dispatcher.initialize()
    yield app
    app.close()


def test_why_counts_no_child_that_the_caller_may_not_see(app):
    parent = new_id()
    common = {"queue": "default", "created_at": 1, "finished_at": 3, "started_at": 2, "name": "t"}
    app.task_log_broker.add([Entry(id=parent, owner="ann", status=Status.FAILED, has_children=True, **common)])
    for owner in ("ann", "bob"):
        app.task_log_broker.add(
            [Entry(id=new_id(), owner=owner, parent_id=parent, status=Status.FAILED, **common)],
        )
    seen = [" ".join(sheet_of(app, log, parent).why) for log in (app.task_log, app.task_log.for_owner("ann"))]
    assert "2 of its 2 children failed" in seen[0]
    assert "1 of its 1 children failed" in seen[1]
