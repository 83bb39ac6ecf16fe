"""Tasks over HTTP: what is shown, what is changed, and what is told of nonsense."""

from __future__ import annotations

import json

import pytest

from taskqueue.ids import new_id
from taskqueue.status import Status
from taskqueue.web import values
from tests.support import errands
from tests.support.eventually import eventually

GONE = "01a20f36-1b00-7950-a3e5-cea5cb4eb75f"


def problem(answer, status):
    """The detail of what was refused."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["status"], told["type"]) == (status, "about:blank")
    assert "\n" not in told["detail"]
    return told["detail"]


def test_the_words_for_statuses_are_those_of_the_log():
    assert values.Label.__args__ == tuple(status.label for status in Status)
    assert set(values.State.__args__) == {status.category for status in Status}


# One task


def test_a_task_is_shown_with_its_report(web):
    task = web.enqueue(errands.add, 1, 2, owner="ann", label="sum")
    waiting = web.get(f"/tasks/{task}")
    assert (waiting["status"], waiting["state"], waiting["report"], waiting["gist"]) == (
        "enqueued",
        "created",
        None,
        "",
    )
    assert (waiting["owner"], waiting["label"], waiting["parameters"]) == ("ann", "sum", {"a": 1, "b": 2})
    assert waiting["created_at"].endswith("Z")
    assert waiting["finished_at"] is None
    web.drain()
    ended = web.get(f"/tasks/{task}")
    assert (ended["status"], ended["attempts"], ended["report"]) == ("completed", 1, {"kind": "success", "data": 3})
    assert web.get(f"/tasks/{task}/report") == {"kind": "success", "data": 3}
    assert web.get(f"/tasks/{task}/attempts") == web.get(f"/tasks/{task}/children") == []


def test_what_is_secret_is_masked(web):
    task = web.enqueue(errands.mail, "ann", "open sesame")
    answer = web("operator", "GET", f"/tasks/{task}")
    assert answer.json()["parameters"] == {"to": "ann", "password": "***"}
    assert "sesame" not in answer.text


def test_what_went_wrong_is_shown_with_its_cause(web):
    task = web.enqueue(errands.give_up_for_now)
    web.drain()
    (attempt,) = web.get(f"/tasks/{task}/attempts")
    assert (attempt["attempt"], attempt["cause"], attempt["report"]["kind"]) == (1, "retry", "error")
    assert "not yet" in attempt["detail"]
    why = web.get(f"/tasks/{task}/why")
    assert (why["id"], why["status"]) == (task, "enqueued")
    assert why["why"]


def test_children_are_shown(web):
    task = web.enqueue(errands.divide_among, 2)
    web.drain()
    children = web.get(f"/tasks/{task}/children")
    assert [child["parent_id"] for child in children] == [task, task]
    assert web.get(f"/tasks/{task}")["has_children"]
    assert web.get("/tasks", params={"parent": task})["tasks"][0]["id"] in {child["id"] for child in children}


def test_texts_of_strangers_come_as_they_are(web):
    """Whoever shows them escapes them."""
    task = web.enqueue(errands.speak_oddly, label="<script>alert(1)</script>")
    web.drain()
    shown = web.get(f"/tasks/{task}")
    assert shown["label"] == "<script>alert(1)</script>"
    assert shown["report"]["data"] == {"key [red]": errands.ODD}


def test_a_report_that_is_not_there_yet_is_not_found(web):
    task = web.enqueue(errands.add, 1)
    assert "wait=60 waits for its end" in problem(web("operator", "GET", f"/tasks/{task}/report"), 404)


@pytest.mark.parametrize("task", [GONE, "x", "%00", "..%2f..", "ä" * 50, "x" * 5000, GONE.upper(), "' OR 1=1"])
@pytest.mark.parametrize("rest", ["", "/report", "/attempts", "/children", "/why"])
def test_what_is_no_task_is_not_found(web, task, rest):
    assert len(problem(web("operator", "GET", f"/tasks/{task}{rest}"), 404)) < 300


# ETags


def test_who_has_it_already_is_told_so(web):
    task = web.enqueue(errands.add, 1)
    first = web("operator", "GET", f"/tasks/{task}")
    tag = first.headers["etag"]
    again = web("operator", "GET", f"/tasks/{task}", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    for known in (f'"other", W/{tag}', "*"):
        assert web("operator", "GET", f"/tasks/{task}", headers={"If-None-Match": known}).status_code == 304
    web.drain()
    now = web("operator", "GET", f"/tasks/{task}", headers={"If-None-Match": tag})
    assert (now.status_code, now.json()["status"]) == (200, "completed")
    assert now.headers["etag"] != tag


def test_lists_have_tags_too(web):
    tag = web("operator", "GET", "/tasks").headers["etag"]
    assert web("operator", "GET", "/tasks", headers={"If-None-Match": tag}).status_code == 304
    web.enqueue(errands.add, 1)
    assert web("operator", "GET", "/tasks", headers={"If-None-Match": tag}).status_code == 200


# Lists


def test_tasks_are_listed_newest_first_page_by_page(web):
    made = [web.enqueue(errands.add, n) for n in range(5)]
    first = web.get("/tasks", params={"limit": 3})
    rest = web.get("/tasks", params={"limit": 3, "after": first["next"]})
    assert [task["id"] for task in first["tasks"] + rest["tasks"]] == made[::-1]
    assert rest["next"] is None
    assert "report" not in first["tasks"][0]
    up = web.get("/tasks", params={"order": "asc"})
    assert [task["id"] for task in up["tasks"]] == made


def test_tasks_are_looked_for(web):
    plain = web.enqueue(errands.add, 1, owner="ann", label="50 % off_")
    odd = web.enqueue(errands.give_up, "no [luck] %", owner="bob", queue="other")
    web.drain()

    def found(**said):
        return [task["id"] for task in web.get("/tasks", params=said)["tasks"]]

    assert found(status="failed") == found(queue="other") == found(owner="bob") == [odd]
    assert found(status=["failed", "completed"]) == found(name="*errands*") == [odd, plain]
    assert found(label="50 % off_") == found(label="*% off_") == [plain]
    assert found(label="50_% off_") == found(label="*nothing*") == found(status="running") == []
    assert found(text="[luck] %") == [odd]
    assert found(text="_luck_") == []
    assert found(since="2020-01-01T00:00:00Z", until="") == [odd, plain]
    assert found(until="2020-01-01T00:00:00Z") == []
    assert found(sort="name") == [plain, odd]
    assert found(sort="name", order="desc") == [odd, plain]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limit=0", "query limit: expected `int` >= 1"),
        ("limit=1001", "query limit: expected `int` <= 1000"),
        ("limit=x", "query limit: expected `int`, got `str`"),
        ("limit=1&limit=2", "query limit: given 2 times; it takes one value"),
        ("status=faild", "query status[0]: invalid enum value 'faild'"),
        ("lable=x", "query: nothing here is called 'lable', did you mean 'label'?"),
        ("since=yesterday", "query since: invalid RFC3339 encoded datetime"),
        ("since=2026-01-01T00:00:00", "query since: expected `datetime` with a timezone component"),
        ("sort=colour", "query sort: invalid enum value 'colour'"),
        ("order=up", "query order: invalid enum value 'up'"),
        ("after=nonsense", "this `after` belongs to another search or is damaged; begin at the first page"),
        ("owner=%00", "has a character that no text holds"),
        (f"text={'x' * 501}", "query text: expected `str` of length <= 500"),
    ],
)
def test_a_query_that_does_not_fit_is_told_which_part(web, query, said):
    assert said in problem(web("operator", "GET", f"/tasks?{query}"), 422)


def test_counts_are_by_queue_and_status(web):
    web.enqueue(errands.add, 1, owner="ann")
    web.enqueue(errands.add, 1, owner="bob", queue="other")
    assert web.get("/stats")["default"]["enqueued"] == web.get("/stats")["other"]["enqueued"] == 1
    assert web.get("/stats", name="ann") == {"default": {s.label: int(s is Status.ENQUEUED) for s in Status}}


# Enqueue


def test_a_registered_task_is_enqueued(web):
    body = {
        "name": "tests.support.errands:add",
        "parameters": {"a": "1", "b": 2},
        "label": "x",
        "priority": 1,
        "delay": 5,
    }
    made = web("operator", "POST", "/tasks", json=body)
    assert made.status_code == 201
    assert made.headers["location"] == f"/api/v1/tasks/{made.json()['id']}"
    shown = web.get(made.headers["location"].removeprefix("/api/v1"))
    assert (shown["parameters"], shown["label"], shown["priority"]) == ({"a": 1, "b": 2}, "x", 1)
    assert shown["due_at"] > shown["created_at"]


@pytest.mark.parametrize("once", [{"id": new_id()}, {"key": "order-9"}])
def test_an_enqueue_can_be_repeated(web, once):
    body = {"name": "tests.support.errands:add", "parameters": {"a": 1}, **once}
    first, second = (web("operator", "POST", "/tasks", json=body).json()["id"] for _ in range(2))
    assert first == second
    assert len(web.get("/tasks")["tasks"]) == 1


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"name": "tests.support.errands:ad"}, 422, "did you mean 'tests.support.errands:add'?"),
        ({"name": "os:system", "parameters": {"command": "true"}}, 422, "no task 'os:system' in this process"),
        ({"name": "tests.support.errands:add"}, 422, "a"),
        ({"name": "tests.support.errands:add", "parameters": {"a": "x"}}, 422, "a"),
        ({"name": "tests.support.errands:add", "parameters": {"a": 1}, "queue": "nope"}, 404, "no queue 'nope'"),
        ({"name": "tests.support.errands:add", "parameters": {"a": 1}, "priority": 10}, 422, "body priority: "),
        ({"name": "tests.support.errands:add", "parameters": {"a": 1}, "delay": -1}, 422, "body delay: "),
        ({"name": "tests.support.errands:add", "parameters": {"a": 1}, "delay": 1e300}, 422, "delay"),
        ({"name": "tests.support.errands:add", "parameters": {"a": 1}, "eta": "2026-01-01"}, 422, "body eta: "),
        ({"name": "tests.support.errands:add", "parameters": {"a": 1}, "id": "x"}, 422, "body id: "),
        ({"name": "tests.support.errands:add", "parameters": {"a": 1}, "label": 1}, 422, "body label: "),
        (
            {"name": "tests.support.errands:add", "parameters": {"a": 1}, "colour": 1},
            422,
            "nothing here is called 'colour'",
        ),
        ({"parameters": {}}, 422, "body: object missing required field `name`"),
        ([], 422, "body: expected `object`, got `array`"),
        (1, 422, "body: expected `object`, got `int`"),
    ],
)
def test_what_cannot_be_enqueued_is_told_why(web, body, status, said):
    assert said in problem(web("operator", "POST", "/tasks", json=body), status)
    assert web.get("/tasks")["tasks"] == []


@pytest.mark.parametrize(
    ("content", "sort", "status", "said"),
    [
        (b"{", "application/json", 400, "the body is no JSON"),
        (b"\xff", "application/json", 400, "the body is no JSON"),
        (b"[" * 100_000, "application/json", 400, "the body is no JSON"),
        (b'{"name": "x"}', "text/plain", 415, "send JSON, and Content-Type: application/json"),
        (b"name=x", "application/x-www-form-urlencoded", 415, "send JSON"),
        (b" " * 1_100_000, "application/json", 413, "the body has more than 1,048,576 bytes"),
        (b"", "application/json", 422, "missing required field `name`"),
    ],
)
def test_a_body_that_is_none_is_refused(web, content, sort, status, said):
    answer = web("operator", "POST", "/tasks", content=content, headers={"Content-Type": sort})
    assert said in problem(answer, status)


def test_only_what_the_configuration_names_is_enqueued(open_web):
    body = {"name": "tests.support.errands:add", "parameters": {"a": 1}}
    assert "[web] enqueue" in problem(open_web(enqueue="false")("operator", "POST", "/tasks", json=body), 403)
    web = open_web(enqueue='["tests.support.errands:mail"]')
    assert "[web] enqueue says which may" in problem(web("operator", "POST", "/tasks", json=body), 403)
    body = {"name": "tests.support.errands:mail", "parameters": {"to": "ann", "password": "x"}}
    assert web("operator", "POST", "/tasks", json=body).status_code == 201


# Changes


def test_a_task_is_cancelled_archived_and_repeated(web):
    task = web.enqueue(errands.add, 1, owner="ann")
    done = web("operator", "POST", f"/tasks/{task}/cancel")
    assert (done.status_code, done.json()) == (200, {"id": task, "outcome": "cancelled", "made": None})
    assert "has ended: it is cancelled, and there is nothing to cancel" in problem(
        web("operator", "POST", f"/tasks/{task}/cancel"), 409
    )
    again = web("operator", "POST", f"/tasks/{task}/retry")
    assert again.status_code == 201
    new = again.json()
    assert (new["retry_of"], new["owner"], new["status"]) == (task, "ann", "enqueued")
    assert again.headers["location"] == f"/api/v1/tasks/{new['id']}"
    assert web("operator", "POST", f"/tasks/{task}/archive").json()["outcome"] == "archived"
    assert web.get(f"/tasks/{task}")["archived_from"] == "cancelled"
    for change in ("archive", "retry"):
        assert f"there is nothing to {change}" in problem(web("operator", "POST", f"/tasks/{new['id']}/{change}"), 409)


@pytest.mark.parametrize("change", ["cancel", "archive", "retry"])
def test_what_is_not_there_is_not_changed(web, change):
    problem(web("operator", "POST", f"/tasks/{GONE}/{change}"), 404)


def test_a_cancel_takes_force_and_nothing_else(web):
    task = web.enqueue(errands.add, 1)
    assert "nothing here is called 'forced', did you mean 'force'?" in problem(
        web("operator", "POST", f"/tasks/{task}/cancel", json={"forced": True}), 422
    )
    assert web("operator", "POST", f"/tasks/{task}/cancel", json={"force": True}).status_code == 200


# Many at once


def ended(web, answer, name="operator"):
    assert answer.status_code == 202, answer.text
    place = answer.headers["location"].removeprefix("/api/v1")
    return eventually(lambda: (found := web.get(place, name=name))["ended_at"] and found)


def test_many_are_changed_at_once(web):
    for n in range(3):
        web.enqueue(errands.give_up, f"{n}")
    web.drain()
    retried = ended(
        web, web("operator", "POST", "/operations", json={"action": "retry", "search": {"name": "*give_up"}})
    )
    assert (retried["state"], retried["outcomes"], retried["done"], retried["total"]) == (
        "done",
        {"retried": 3},
        3,
        None,
    )
    everything = {"action": "cancel", "search": {}}
    cancelled = ended(web, web("operator", "POST", "/operations", json=everything))
    assert (cancelled["outcomes"], cancelled["total"], cancelled["by"]) == ({"cancelled": 3}, 3, "operator")
    ids = [task["id"] for task in web.get("/tasks")["tasks"]]
    archived = ended(web, web("operator", "POST", "/operations", json={"action": "archive", "ids": [*ids, GONE]}))
    assert (archived["outcomes"], archived["total"]) == ({"archived": 6, "missing": 1}, 7)
    assert [one["action"] for one in web.get("/operations")] == ["archive", "cancel", "retry"]


def test_an_operation_is_stopped(web):
    task = web.enqueue(errands.add, 1)
    made = web("operator", "POST", "/operations", json={"action": "cancel", "ids": [task]})
    ended(web, made)
    stopped = web("operator", "DELETE", f"/operations/{made.json()['id']}")
    assert (stopped.status_code, stopped.json()["state"]) == (200, "done")
    problem(web("operator", "DELETE", f"/operations/{GONE}"), 404)


@pytest.mark.parametrize(
    "body",
    [
        {"action": "cancel"},
        {"action": "cancel", "ids": [], "search": {}},
        {"action": "cancel", "ids": ["x"], "search": {}},
        {"action": "cancel", "ids": []},
        {"action": "delete", "ids": ["x"]},
        {"action": "cancel", "search": {"limit": 3}},
        {"action": "cancel", "search": {"status": ["no"]}},
        {"action": "cancel", "ids": ["x"] * 10_001},
    ],
)
def test_an_operation_that_is_none_is_refused(web, body):
    problem(web("operator", "POST", "/operations", json=body), 422)


def test_what_cannot_be_looked_for_ends_an_operation_with_why(web):
    done = ended(web, web("operator", "POST", "/operations", json={"action": "cancel", "search": {"owner": "\0"}}))
    assert done["state"] == "failed"
    assert "a character that no text holds" in done["error"]


def test_answers_are_json_for_every_value(web):
    """Whatever a report holds."""
    task = web.enqueue(errands.speak_oddly)
    web.drain()
    assert json.loads(web("operator", "GET", f"/tasks/{task}").content)
