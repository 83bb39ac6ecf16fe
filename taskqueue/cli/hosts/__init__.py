"""`taskqueue hosts`: the supervisors of all hosts, seen and told what to do from anywhere."""

from __future__ import annotations

from taskqueue.cli.hosts.listing import command as command
