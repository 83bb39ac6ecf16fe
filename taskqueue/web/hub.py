"""What all requests of one application share."""

from __future__ import annotations

from starlette.requests import Request

from taskqueue.app import App
from taskqueue.settings import WebSettings
from taskqueue.web import tokens
from taskqueue.web.answering import known_to
from taskqueue.web.desk import Desk
from taskqueue.web.sampler import Sampler
from taskqueue.web.threads import Threads
from taskqueue.web.tokens import Caller
from taskqueue.web.watching import Watching, looks
from taskqueue.web.works import Works

#: requests that ask a store at the same time
THREADS = 8


class Hub:
    """One application's. Pages find it as `request.app.state.hub`."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.threads = Threads(THREADS)
        # One thread for each of these two: nobody's slow requests keep them from looking.
        self.watching = Watching(looks(app.task_log), Threads(1).run)
        self.sampler = Sampler(app, Threads(1).run)
        self.works = Works()

    @property
    def settings(self) -> WebSettings:
        """What the configuration says of the web."""
        return self.app.settings.web

    def who(self, request: Request) -> Caller:
        """Who asks. Raises Problem 401."""
        return tokens.who(request, self.settings.tokens, now=self.app.clock.micros() / 1e6)

    def desk(self, request: Request, caller: Caller) -> Desk:
        """What an endpoint works with."""
        return Desk(
            app=self.app,
            caller=caller,
            threads=self.threads,
            watching=self.watching,
            sampler=self.sampler,
            works=self.works,
            known=known_to(request),
        )

    def close(self) -> None:
        """The server leaves: let go of all who wait and listen, and stop what goes on by itself."""
        self.watching.close()
        self.sampler.close()
        self.works.close()
