"""Prometheus' own view of what we expose: `promtool` looks at it, and its reference parser reads it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

Sample = tuple[str, frozenset[tuple[str, str]]]


@pytest.fixture(scope="session")
def promtool(unreachable) -> str:
    """The program (Debian: prometheus)."""
    return shutil.which("promtool") or unreachable("there is no promtool; install prometheus")


def checked(promtool: str, text: str) -> None:
    """Fail with what `promtool check metrics` has to say, if it has."""
    found = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", ""), f"{found.stdout}{found.stderr}\n{text}"


class Scraped(Mapping[str, float]):
    """What was scraped, by name and labels as they are written: `{'a_total{b="c"}': 1.0}`; order is as it comes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = list(text_string_to_metric_families(text))
        samples = [sample for family in self.families for sample in family.samples]
        self._found = {(s.name, frozenset(s.labels.items())): s.value for s in samples}
        assert len(self._found) == len(samples), "no sample twice"

    def value(self, name: str, **labels: str) -> float | None:
        """The value of exactly these labels."""
        return self._found.get((name, frozenset(labels.items())))

    def all(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Sums by the values of that label, of the samples that have these labels."""
        found: dict[str, float] = {}
        for (known, of), value in self._found.items():
            said = dict(of)
            if known == name and labels.items() <= said.items():
                found[said[label]] = found.get(said[label], 0.0) + value
        return found

    def __getitem__(self, name: str) -> float:
        """The sum of all samples of that name."""
        values = [value for (known, _), value in self._found.items() if known == name]
        if not values:
            raise KeyError(name)
        return sum(values)

    def __iter__(self):
        return iter({name for name, _ in self._found})

    def __len__(self) -> int:
        return len(self._found)
