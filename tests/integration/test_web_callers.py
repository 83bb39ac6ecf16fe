"""Who may do what over HTTP: every route for every role, another owner's tasks, foreign sites, foreign hosts."""

from __future__ import annotations

import logging

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.testclient import TestClient

from taskqueue.errors import BrokerUnavailable
from taskqueue.ids import new_id
from taskqueue.web import extra, sessions
from taskqueue.web.routes import TABLE
from taskqueue.web.tokens import RIGHTS, Right
from tests.support import errands
from tests.support.eventually import eventually
from tests.support.web import API, TOKENS

NAMES = {"ann": "user", "reader": "reader", "operator": "operator"}
#: something for each part of a path
PARTS = {"queue": "default", "host": "nowhere", "pool": "default", "order_id": new_id(), "operation_id": new_id()}
BODIES = {
    "enqueue": {"name": "tests.support.errands:add", "parameters": {"a": 1}},
    "begin": {"action": "cancel", "ids": ["x"]},
}


def ask(web, route, name, task, **options):
    path = route.path.format(task_id=task, **PARTS)
    body = BODIES.get(route.endpoint.__name__, {"workers": 1} if "scale" in route.path else {})
    more = {"json": body} if route.body is not None else {}
    return web(name, route.method, path, **more, **options)


#: an endless answer: its own tests are in tests/process
ROUTES = [pytest.param(route, id=f"{route.method} {route.path}") for route in TABLE if route.path != "/events"]


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_asks_for_its_right(web, route):
    task = web.enqueue(errands.add, 1, owner="ann")
    for name, role in NAMES.items():
        answer = ask(web, route, name, task)
        assert (answer.status_code == 403) is (route.right not in RIGHTS[role]), (name, answer.text)
        assert answer.status_code < 500
        if answer.status_code == 403:
            assert f"{name} is a {role} and may not {route.right.value}; it takes the role" in answer.json()["detail"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("shown", [None, "nobody-knows-this-token", "", f"{TOKENS['ann']}x", TOKENS["ann"][:-1], "ä"])
def test_no_route_is_for_strangers(web, route, shown):
    headers = {} if shown is None else {"Authorization": f"Bearer {shown}".encode()}
    answer = ask(web, route, None, new_id(), headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "send Authorization: Bearer TOKEN" in answer.json()["detail"]


def test_roles_are_no_more_than_they_say():
    assert RIGHTS["user"] == {Right.READ_TASKS, Right.CHANGE_TASKS}
    assert RIGHTS["reader"] == {Right.READ_TASKS, Right.READ_FLEET}
    changing = {route.right for route in TABLE if route.method != "GET"}
    assert not RIGHTS["reader"] & changing


@pytest.mark.parametrize("route", [one for one in ROUTES if "{task_id}" in one.values[0].path])
def test_another_owners_task_is_not_there(web, route):
    """As if there were none, in every call, and nothing is changed."""
    theirs, nobodys = web.enqueue(errands.add, 1, owner="bob"), web.enqueue(errands.add, 1)
    for task in (theirs, nobodys):
        answer, missing = ask(web, route, "ann", task), ask(web, route, "ann", new_id())
        assert answer.status_code == missing.status_code == 404
        said = [
            one.json()["detail"].replace(web_id, "ID") for one, web_id in ((answer, task), (missing, missing.url.path))
        ]
        assert said[0].partition(";")[0] == "the task log has no entry 'ID'"
        assert web.get(f"/tasks/{task}")["status"] == "enqueued"
    assert len(web.get("/tasks")["tasks"]) == 2


def test_a_user_finds_and_counts_and_changes_what_is_theirs(web):
    ours, theirs = web.enqueue(errands.add, 1, owner="ann"), web.enqueue(errands.add, 1, owner="bob")
    found = web.get("/tasks", name="ann")["tasks"]
    assert [task["id"] for task in found] == [ours]
    assert web.get("/tasks", name="ann", params={"owner": "bob"})["tasks"] == []
    assert web.get("/stats", name="ann")["default"]["enqueued"] == 1
    web("ann", "POST", "/operations", json={"action": "cancel", "ids": [ours, theirs]})
    web("ann", "POST", "/operations", json={"action": "cancel", "search": {}})

    eventually(lambda: web.get(f"/tasks/{ours}")["status"] == "cancelled")
    eventually(lambda: all(one["ended_at"] for one in web.get("/operations", name="ann")))
    assert web.get(f"/tasks/{theirs}")["status"] == "enqueued"


def test_a_users_children_are_shown_without_those_of_others(web):
    parent = web.enqueue(errands.divide_among, 2, owner="ann")
    web.drain()
    shown = web.get(f"/tasks/{parent}/children", name="ann")
    assert {child["owner"] for child in shown} <= {"ann"}


def test_a_user_enqueues_for_themselves_alone(web):
    body = BODIES["enqueue"]
    assert web("ann", "POST", "/tasks", json=body).json()["owner"] == "ann"
    refused = web("ann", "POST", "/tasks", json={**body, "owner": "bob"})
    assert (refused.status_code, refused.json()["detail"]) == (403, "ann enqueues for owner 'ann' alone")
    assert web("operator", "POST", "/tasks", json={**body, "owner": "bob"}).json()["owner"] == "bob"


@pytest.mark.parametrize("how", ["id", "key"])
def test_an_id_or_a_key_opens_nobody_elses_task(web, how):
    said = {how: new_id()}
    web("bob", "POST", "/tasks", json={**BODIES["enqueue"], **said})
    answer = web("ann", "POST", "/tasks", json={**BODIES["enqueue"], **said})
    assert (answer.status_code, "choose another" in answer.text) == (409, True)
    assert "bob" not in answer.text


def test_another_users_operation_is_not_there(web):
    task = web.enqueue(errands.add, 1, owner="bob")
    made = web("bob", "POST", "/operations", json={"action": "cancel", "ids": [task]}).json()["id"]
    assert web.get("/operations", name="ann") == []
    for method in ("GET", "DELETE"):
        assert web("ann", method, f"/operations/{made}").status_code == 404
    assert web.get(f"/operations/{made}")["by"] == "bob"


# Browsers


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"},
        {"Origin": "http://evil.example", "Authorization": "Basic YTpi"},
    ],
)
def test_a_foreign_page_changes_nothing(open_web, headers):
    web = open_web(guarded=False)
    task = web.enqueue(errands.add, 1)
    answer = web(None, "POST", f"/tasks/{task}/cancel", headers=headers)
    assert answer.status_code == 403
    assert "another site's page" in answer.json()["detail"]
    assert web.get(f"/tasks/{task}", name=None)["status"] == "enqueued"
    assert "access-control-allow-origin" not in web(None, "GET", "/tasks", headers=headers).headers


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "http://127.0.0.1"}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}]
)
def test_our_own_page_and_a_program_change_what_they_like(open_web, headers):
    web = open_web(guarded=False)
    task = web.enqueue(errands.add, 1)
    assert web(None, "POST", f"/tasks/{task}/cancel", headers=headers).status_code == 200


def test_a_token_needs_no_word_of_a_browser(web):
    task = web.enqueue(errands.add, 1)
    assert (
        web("operator", "POST", f"/tasks/{task}/cancel", headers={"Origin": "https://shop.example"}).status_code == 200
    )


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PATCH", "TRACE", "PROPFIND"])
def test_other_methods_are_told_which_there_are(web, method):
    answer = web("operator", method, "/tasks")
    assert answer.status_code == (204 if method == "OPTIONS" else 405)
    assert answer.headers["allow"] == "GET, POST, HEAD, OPTIONS"
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_head_is_a_get_without_its_body(web):
    head, get = web("operator", "HEAD", "/tasks"), web("operator", "GET", "/tasks")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", get.headers["etag"])
    assert web(None, "HEAD", "/tasks").status_code == 401


@pytest.mark.parametrize("path", ["/api", "/api/v1", "/api/v2/tasks", "/api/v1/task", "/api/v1/tasks/", "/%2e%2e/x"])
def test_what_is_nowhere_is_not_found(web, path):
    answer = web.plain("GET", path, follow_redirects=False)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


# Hosts


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8321", "127.0.0.1.evil.example", "localhost.evil.example", "", "10.0.0.1"]
)
def test_without_tokens_only_the_loopback_is_answered_for(open_web, host):
    """DNS rebinding: a stranger's name that points at us."""
    web = open_web(guarded=False, web='bind = "127.0.0.1:8321"')
    answer = web(None, "GET", "/tasks", headers={"Host": host})
    assert answer.status_code == 421
    assert "[web] allowed_hosts" in answer.json()["detail"]
    assert web.plain("GET", "/healthz", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8321", "localhost:1", "[::1]:8321", "LOCALHOST", "tasks.example.org"]
)
def test_the_loopback_and_allowed_hosts_are_answered_for(open_web, host):
    web = open_web(guarded=False, web='allowed_hosts = ["tasks.example.org"]')
    assert web(None, "GET", "/tasks", headers={"Host": host}).status_code == 200


def test_with_tokens_addresses_are_answered_for_and_names_that_are_allowed(open_web):
    web = open_web(web='bind = "0.0.0.0:8321"\nallowed_hosts = ["tasks.example.org"]')
    for host, status in {"10.1.2.3:8321": 200, "tasks.example.org": 200, "other.example.org": 421}.items():
        assert web("reader", "GET", "/tasks", headers={"Host": host}).status_code == status
    assert open_web(web='allowed_hosts = ["*"]')("reader", "GET", "/tasks", headers={"Host": "any"}).status_code == 200


def test_without_tokens_another_machine_is_refused_whatever_it_says(open_web):
    """Mounted in an application that listens to the world."""
    web = open_web(guarded=False)
    stranger = TestClient(web.asgi, base_url="http://localhost", client=("10.0.0.9", 1))
    answer = stranger.get(f"{API}/tasks")
    assert (answer.status_code, "without tokens only this machine may ask" in answer.text) == (403, True)


# What every answer has, and has not


@pytest.mark.parametrize("path", ["/healthz", f"{API}/tasks", f"{API}/openapi.json", f"{API}/nothing"])
def test_every_answer_is_safe_to_show(web, path):
    headers = web.plain("GET", path, headers={"Authorization": f"Bearer {TOKENS['reader']}"}).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "server" not in headers


def test_no_token_is_in_any_answer_or_line_of_the_log(web, caplog):
    task = web.enqueue(errands.add, 1, owner="ann")
    with caplog.at_level(logging.DEBUG):
        for route in (one.values[0] for one in ROUTES):
            for name in (*NAMES, "the-token-of-nobody-0123456789"):
                answer = ask(web, route, name, task)
                assert not any(token in answer.text or token in str(answer.headers) for token in TOKENS.values())
                assert "the-token-of-nobody" not in answer.text
    assert not any(token in caplog.text for token in (*TOKENS.values(), "the-token-of-nobody"))


def test_the_password_of_a_store_is_in_no_answer(open_web):
    web = open_web(stores='url = "postgresql+psycopg://tq:open-sesame@127.0.0.1:1/tq"')
    for path in ("/tasks", "/queues", "/health", "/hosts", "/stats"):
        answer = web("operator", "GET", path)
        assert "open-sesame" not in answer.text
        assert answer.status_code == (200 if path == "/health" else 503)


def test_a_store_that_is_away_is_told_and_asked_again(open_web, monkeypatch):
    """P16."""
    web = open_web()
    task = web.enqueue(errands.add, 1)

    def away(*_):
        raise BrokerUnavailable("the store does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(web.app.task_log_broker, "get", away)
        answer = web("operator", "GET", f"/tasks/{task}")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.json()["detail"] == "the store does not answer"
        assert web.plain("GET", "/healthz").text == "ok\n"
    assert web("operator", "GET", f"/tasks/{task}").status_code == 200


def test_what_nobody_thought_of_tells_no_details(open_web, monkeypatch):
    web = open_web()

    def broken(*_, **__):
        raise KeyError("SELECT open-sesame")

    monkeypatch.setattr(type(web.app.task_log), "stats", broken)
    quiet = TestClient(web.asgi, base_url="http://localhost", client=("127.0.0.1", 1), raise_server_exceptions=False)
    answer = quiet.get(f"{API}/stats", headers={"Authorization": f"Bearer {TOKENS['reader']}"})
    assert answer.status_code == 500
    assert answer.json()["detail"] == "unexpected KeyError; this is a bug: the server's log shows where it happened"


# Browsers that have shown a token once


def cookie(web, name):
    token = web.app.settings.web.tokens[name]
    return {"Cookie": f"{sessions.COOKIE}={sessions.issue(token, now=web.app.clock.micros() / 1e6)}"}


def test_a_cookie_stands_for_its_token_and_changes_need_the_browsers_word(web):
    task = web.enqueue(errands.add, 1, owner="ann")
    known = cookie(web, "ann")
    assert web.get(f"/tasks/{task}", name=None, headers=known)["owner"] == "ann"
    assert web(None, "GET", "/queues", headers=known).status_code == 403
    for word in ({}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert web(None, "POST", f"/tasks/{task}/cancel", headers={**known, **word}).status_code == 403
    own = {**known, "Sec-Fetch-Site": "same-origin"}
    assert web(None, "POST", f"/tasks/{task}/cancel", headers=own).status_code == 200


def test_a_forged_cookie_is_nobodys(web):
    value = cookie(web, "ann")["Cookie"].replace("YW5u", "b3BlcmF0b3I=")
    assert web(None, "GET", "/tasks", headers={"Cookie": value}).status_code == 401


def test_a_wrong_token_is_wrong_whatever_cookie_comes_with_it(web):
    headers = {**cookie(web, "operator"), "Authorization": "Bearer nonsense"}
    assert web(None, "GET", "/tasks", headers=headers).status_code == 401


def test_a_login_sets_a_cookie_that_scripts_and_other_sites_do_not_get(web):
    request = Request(
        {"type": "http", "scheme": "https", "server": ("x", 443), "path": "/", "root_path": "/q", "headers": []}
    )
    answer = Response()
    sessions.start(request, answer, web.app.settings.web.tokens["ann"], now=0)
    said = answer.headers["set-cookie"].lower()
    for word in ("httponly", "samesite=strict", "secure", "path=/q", f"max-age={sessions.LIFETIME}"):
        assert word in said
    sessions.end(request, answer)
    assert "max-age=0" in answer.headers.getlist("set-cookie")[-1].lower()


# In another application


def test_it_is_mounted_in_another_application(web):
    site = Starlette(routes=[Mount("/queue", web.asgi)])
    client = TestClient(site, base_url="http://127.0.0.1", client=("127.0.0.1", 1))
    known = {"Authorization": f"Bearer {TOKENS['operator']}"}
    made = client.post(f"/queue{API}/tasks", json=BODIES["enqueue"], headers=known)
    assert made.headers["location"] == f"/queue{API}/tasks/{made.json()['id']}"
    assert client.get(made.headers["location"], headers=known).status_code == 200
    assert client.get("/queue/healthz").text == "ok\n"
    assert client.get(f"/queue{API}/tasks").status_code == 401


def test_what_lacks_the_extra_is_told_how_to_get_it(sh, monkeypatch):
    monkeypatch.setattr(extra, "NEEDED", ("starlette", "no_such_module", "uvicorn"))
    ran = sh.type("web")
    assert ran.code == 78
    assert ran.line == (
        "the web server needs no_such_module: pip install 'taskqueue-supervisor[web]' brings what it needs"
    )
