"""`taskqueue doctor`: what is wrong, and what to do about it."""

from __future__ import annotations

from taskqueue.cli.doctor.command import command as command
