"""Secrets stay out of what people read (P19)."""

from __future__ import annotations

import re

MASK = "***"
# Greedy up to the last "@": a password may hold "@", "/" or ":", and hiding too much is the better mistake.
_PASSWORD = re.compile(r"(?<=://)([^:/@?#\s]*):.*@", re.DOTALL)
_PARAMETER = re.compile(r"(?i)([?&][^=&#\s]*(?:passw|pwd|secret|token|key)[^=&#\s]*)=[^&#\s]*")


def mask_url(url: str) -> str:
    """`url`, or a text that holds one, with its password and its secret query parameters as ***. Takes any text."""
    return _PARAMETER.sub(rf"\1={MASK}", _PASSWORD.sub(rf"\1:{MASK}@", url))
