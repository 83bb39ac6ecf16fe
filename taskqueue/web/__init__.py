"""The queue over HTTP: an API for programs, metrics, and a dashboard for people. Needs the extra `web`.

`application.create(app)` is an ASGI application: `taskqueue web` and the supervisor's web child serve it, and another
application can mount it. It stands on public interfaces alone (`App`, `TaskLog`, `taskqueue.operations`), so that
whatever it does, a command could do too. It holds no state that matters: killed, it is started anew, and no worker
notices.

`routes` is the table of the API, and the page to begin with: what each route takes and gives, and who may use it.
Dispatch and the OpenAPI document both come from it.
"""
