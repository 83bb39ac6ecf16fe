"""The README's recipes for web frameworks, tried with the frameworks' own test clients."""

from __future__ import annotations

import pytest

from tests.support.recipes import Kitchen

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

SETTINGS = """
from pathlib import Path

BASE_DIR = Path(__file__).parent.parent
SECRET_KEY = "only a test"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "shop.apps.ShopConfig"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "django.db"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""
URLS = """
from django.urls import path
from shop import views

urlpatterns = [path("customers", views.sign_up)]
"""
DJANGO = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
import django
django.setup()
from django.core.management import call_command
from django.test import Client
import taskqueue

call_command("migrate", verbosity=0)
answer = Client().post("/customers", {"name": "ann", "email": "ann@example.org"})
again = Client(raise_request_exception=False).post("/customers", {"name": "ann", "email": "bob@example.org"})
print(answer.status_code, again.status_code, [e.name for e in taskqueue.connect().task_log.search().entries])
"""


def test_flask(tmp_path):
    kitchen = Kitchen(tmp_path, "shop.tasks", "shop.web")
    told = kitchen.run(
        """
        from shop.web import app
        client = app.test_client()
        answer = client.post("/customers", json={"email": "ann@example.org"})
        task = answer.json["task"]
        print(answer.status_code, client.get(f"/tasks/{task}").json, client.get("/tasks/none").status_code)
        print(task)
        """
    )
    assert told[0] == "202 {'status': 'enqueued'} 404"
    kitchen.work()
    after = f"from shop.web import app; print(app.test_client().get('/tasks/{told[1]}').json)"
    assert kitchen.run(after) == ["{'status': 'completed'}"]


def test_a_task_has_flask_s_application_context(tmp_path):
    kitchen = Kitchen(tmp_path, "shop.tasks", "shop.web", "shop.greet")
    (tmp_path / "shop/greet.py").write_text(
        "import taskqueue\nfrom flask import current_app\n\n"
        "@taskqueue.task\ndef greet() -> str:\n    return current_app.name\n"
    )
    kitchen.run("from shop.greet import greet; greet.enqueue()")
    kitchen.work()
    told = kitchen.run("import taskqueue; q = taskqueue.connect(); e = q.task_log.search().entries[0]; print(e.report)")
    assert "shop.web" in told[0]


def test_fastapi(tmp_path):
    kitchen = Kitchen(tmp_path)
    told = kitchen.run(
        """
        from fastapi.testclient import TestClient
        from shop.api import app
        with TestClient(app) as client:
            answer = client.post("/customers", json={"email": "ann@example.org"})
            task = answer.json()["task"]
            print(answer.status_code, client.get(f"/tasks/{task}").json(), client.get("/tasks/none").status_code)
        """
    )
    assert told == ["202 {'status': 'enqueued'} 404"]
    assert any("tasks=1" in line for line in kitchen.work())


def test_django_enqueues_what_was_committed_and_nothing_else(tmp_path):
    kitchen = Kitchen(tmp_path, "shop.worker")
    (tmp_path / "shop/settings.py").write_text(SETTINGS)
    (tmp_path / "shop/urls.py").write_text(URLS)
    told = kitchen.run(DJANGO)
    assert told[-1] == "201 500 ['shop.tasks:send_mail']"
    assert any("tasks=1" in line for line in kitchen.work())
