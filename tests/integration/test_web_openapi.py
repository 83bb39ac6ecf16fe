"""The OpenAPI document is true: of the table, of itself, and of what is answered to whatever it allows and forbids."""

from __future__ import annotations

import os

import hypothesis
import pytest
import schemathesis
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode

from taskqueue.web.routes import TABLE
from tests.support import errands
from tests.support.servers import open_in
from tests.support.web import API, TOKENS, Web

#: examples for each operation; `make soak` asks for more
FEW, MANY = 5, 150


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def web(request, tmp_path_factory):
    """What a text must not hold is another thing in each database."""
    folder = tmp_path_factory.mktemp("openapi")
    stores = 'url = "sqlite:///tasks.db"'
    if request.param != "sqlite":
        database = open_in(request.param, folder)
        stores = f'url = "{database.dialect.url.render_as_string(hide_password=False)}"'
        database.close()
    opened = Web(folder, stores=stores)
    for owner in ("ann", None):
        opened.enqueue(errands.add, 1, owner=owner)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def document(web):
    return web.get("/openapi.json")


@pytest.fixture(scope="module")
def schema(web, document):
    load_all_checks()
    made = schemathesis.openapi.from_dict(document)
    made.app = web.asgi
    made.config.base_url = "http://127.0.0.1"
    # No schema can say which task names are registered, or what an opaque cursor looks like: those are told by 422.
    accepted = made.config.checks.positive_data_acceptance
    accepted.expected_statuses = [*accepted.expected_statuses, "422"]
    # An endless answer: tests/process listens to it.
    return made.exclude(path=f"{API}/events")


def test_every_route_is_described_and_nothing_else(document):
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(route.method, API + route.path) for route in TABLE}
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    for one in operations:
        assert one["summary"].endswith("."), one
        assert "\n" not in one["summary"]
        assert {"4XX", "503"} < set(one["responses"])


def test_the_document_is_one(web):
    schemathesis.openapi.from_dict(web.get("/openapi.json")).validate()


def test_what_guards_it_is_said(open_web, document):
    assert document["security"] == [{"token": []}]
    assert "security" not in open_web(guarded=False).get("/openapi.json", name=None)


@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.timeout(300)
def test_what_is_answered_is_what_is_described(schema, examples, mode):
    """Every operation, with what fits its description and with what does not; never an error of the server's own."""
    headers = {"Authorization": f"Bearer {TOKENS['operator']}"}
    broken = []
    for found in schema.get_all_operations():
        operation = found.ok()

        @hypothesis.settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=not os.environ.get("SEED"),
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def check(case):
            case.call_and_validate(headers=headers)

        try:
            check()
        except (FailureGroup, ExceptionGroup, Unsatisfiable) as error:
            broken.append(f"{operation.label}: {error}")
    assert not broken, "\n\n".join(broken)
