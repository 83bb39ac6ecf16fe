"""Known vulnerabilities of what this environment has installed, by pip-audit: part of `make lint`.

    python -m tests.support.audit

What is found fails it. A service that cannot be reached, or knows none of the packages (a mirror of the index alone),
says nothing about them: one line tells so, and no network is a reason to fail.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

#: ids of vulnerabilities that do not concern us -> why
IGNORED: dict[str, str] = {}
COMMAND = ["-m", "pip_audit", "--local", "--skip-editable", "--format", "json", "--progress-spinner", "off"]
NOT_CHECKED = "pip-audit: the service cannot be reached, not checked"
PATIENCE = 60.0


def main() -> int:
    """Print what there is to say; the exit code."""
    try:
        ran = subprocess.run(
            [sys.executable, *COMMAND, "--timeout", "5"], capture_output=True, text=True, timeout=PATIENCE
        )
        told = json.loads(ran.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        told = []
    lines, code = verdict(told)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return code


def verdict(told: list[dict[str, Any]]) -> tuple[list[str], int]:
    """What to say of pip-audit's answer, and the exit code."""
    known = [package for package in told if "vulns" in package]
    if not known:
        return [NOT_CHECKED], 0
    found = [
        f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in "
        f"{', '.join(vulnerability['fix_versions']) or 'no release yet'}"
        for package in known
        for vulnerability in package["vulns"]
        if not {vulnerability["id"], *vulnerability.get("aliases", ())} & IGNORED.keys()
    ]
    return found, 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
