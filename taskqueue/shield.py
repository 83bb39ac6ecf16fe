"""The shield: no interrupt lands inside a step of our own stores.

What is raised into a task (`taskqueue.worker.interrupt`) can land at any bytecode: between taking a lock and noting
that it is held, or inside the cleaning up. While the main thread is behind the shield the interrupt waits here, and is
raised where the outermost step has ended: committed or rolled back, every lock let go.

Only the main thread is ever interrupted; for all others the shield is nothing.
"""

from __future__ import annotations

import os
import threading
from contextlib import nullcontext
from types import TracebackType

_NOTHING = nullcontext()


class Shield:
    """`with SHIELD():` around a step. May be nested."""

    # A class, and no generator: after the `next` of `@contextmanager` an interrupt could land before the block begins.

    def __init__(self) -> None:
        #: how many steps the main thread is inside of
        self.depth = 0
        #: what is to be raised after the outermost of them
        self.pending: BaseException | None = None
        self._main = threading.main_thread().ident

    def __call__(self) -> Shield | nullcontext[None]:
        """The shield, if it is any use in this thread."""
        return self if threading.get_ident() == self._main else _NOTHING

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.depth -= 1
        # A generator that holds a step may be closed by another thread's garbage collection.
        if self.pending is not None and not self.depth and threading.get_ident() == self._main:
            pending, self.pending = self.pending, None
            raise pending from error

    def drop(self, pending: BaseException | None) -> None:
        """Forget it: who was meant has ended."""
        if self.pending is pending:
            self.pending = None

    def _after_fork(self) -> None:
        # The child's main thread is the one that forked, and nobody interrupts it.
        self.pending = None
        if self._main != threading.get_ident():
            self._main, self.depth = threading.get_ident(), 0


SHIELD = Shield()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SHIELD._after_fork)  # noqa: SLF001  # its own module
