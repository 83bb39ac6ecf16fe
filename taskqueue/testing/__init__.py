"""For the suites of applications: their tasks, without a server.

The pytest plugin comes with the package; a test asks for its fixture and has a `Kit`:

    def test_a_new_customer_gets_a_mail(taskqueue_testing):
        sign_up("ann@example.org")
        (mail,) = taskqueue_testing.enqueued(send_mail)
        assert mail.parameters == {"to": "ann@example.org"}
        taskqueue_testing.drain(raise_failures=True)

Other test runners say `with Kit() as kit:`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskqueue.testing.drain import Ran as Ran
    from taskqueue.testing.kit import Kit as Kit
    from taskqueue.testing.recorder import Enqueued as Enqueued

#: imported when asked for: every pytest in this environment loads the plugin beside it
_LATER = {"Kit": "taskqueue.testing.kit", "Ran": "taskqueue.testing.drain", "Enqueued": "taskqueue.testing.recorder"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LATER[name]), name)
