"""Running `async def` tasks: one event loop per worker, kept from task to task."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
from collections.abc import Coroutine
from typing import Any

from taskqueue.worker.interrupt import Interrupter

log = logging.getLogger("taskqueue.task")


class Coroutines:
    """The worker's one loop (R17), made at the first coroutine."""

    def __init__(self, interrupter: Interrupter | None = None) -> None:
        self._interrupter = interrupter
        self._runner: asyncio.Runner | None = None

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run it to its end in the present context and return its value."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._run_here(coroutine)
        return _run_beside(coroutine)

    def _run_here(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        if self._runner is None:
            self._runner = asyncio.Runner()
        try:
            return self._runner.run(self._announced(coroutine), context=contextvars.copy_context())
        except asyncio.CancelledError:
            reason = self._interrupter.reason if self._interrupter else None
            raise reason or RuntimeError("the coroutine was cancelled from inside") from None
        finally:
            self._end(coroutine)

    def _end(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Begin with another loop if this one was left before the coroutine's end; it must not go on beside the next.

        So it is when we interrupt it before the loop has it, or when something else on the loop calls `sys.exit()`.
        """
        if inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED:
            return
        try:
            self.close()
            coroutine.close()
        except BaseException:
            log.exception("a coroutine that was left in its middle did not end well")

    async def _announced(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        task = asyncio.current_task()
        if self._interrupter is not None and task is not None:
            self._interrupter.on_loop(asyncio.get_running_loop(), task)
        return await coroutine

    def close(self) -> None:
        """End the loop and what still runs on it."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()


def _run_beside(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The caller is inside a running loop (an application that enqueues into memory): run in a thread of its own."""
    answer: list[Any] = []
    problem: list[BaseException] = []
    context = contextvars.copy_context()

    def run() -> None:
        try:
            answer.append(context.run(asyncio.run, coroutine))
        except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
            problem.append(error)

    thread = threading.Thread(target=run, name="task")
    thread.start()
    thread.join()
    if problem:
        raise problem[0]
    return answer[0]
