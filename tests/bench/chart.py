"""The chart: tasks a second as bars, an SVG that reads well on light and on dark paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from tests.bench.rows import Round, middle

#: which bars, by group: contestant, label
GROUPS = {
    "PostgreSQL": [
        ("ours-postgresql", "taskqueue-supervisor"),
        ("ceiling-postgresql-200", "raw SQL, batch 200"),
        ("ceiling-postgresql-500", "raw SQL, batch 500"),
        ("pgqueuer-200", "PgQueuer, batch 200 (keeps no result)"),
        ("pgqueuer-10", "PgQueuer as shipped (keeps no result)"),
        ("awa", "Awa"),
        ("saq-postgresql", "SAQ"),
        ("procrastinate", "Procrastinate"),
    ],
    "SQLite": [
        ("ours-sqlite", "taskqueue-supervisor"),
        ("ceiling-sqlite-200", "raw SQL, batch 200"),
        ("huey-sqlite", "Huey"),
    ],
    "Redis": [
        ("huey-redis", "Huey"),
        ("saq-redis", "SAQ"),
        ("dramatiq-redis", "Dramatiq"),
        ("celery-redis", "Celery"),
        ("rq-redis", "RQ"),
    ],
}
LEFT, WIDE, HIGH, TOP = 240, 340, 20, 34
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f } .head { font-weight: 600 } .bar { fill: #8c959f }
  .ours { fill: #1f6feb } .ceiling { fill: #d0d7de }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .bar { fill: #6e7681 } .ours { fill: #58a6ff }
    .ceiling { fill: #3d444d } }
"""


def chart(rounds: Sequence[Round]) -> str:
    """Medians of the drains, the text of an SVG file."""
    groups = {name: _rates(bars, rounds) for name, bars in GROUPS.items()}
    most = max((rate for bars in groups.values() for _, _, rate in bars), default=1.0)
    lines, y = [], TOP
    for name, bars in groups.items():
        if not bars:
            continue
        lines.append(f'<text class="head" x="8" y="{y + 14}">{escape(name)}</text>')
        y += HIGH
        for contestant, label, rate in bars:
            lines += _bar(y, contestant.partition("-")[0], label, rate / most * WIDE, f"{rate:,.0f}")
            y += HIGH
        y += 8
    title = "Tasks a second, two worker processes, no-op tasks"
    size = f'width="{LEFT + WIDE + 80}" height="{y}" viewBox="0 0 {LEFT + WIDE + 80} {y}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{title}">'
    body = "\n".join(lines)
    return f'{head}\n<style>{STYLE}</style>\n<text class="head" x="8" y="20">{title}</text>\n{body}\n</svg>\n'


def _rates(bars: Sequence[tuple[str, str]], rounds: Sequence[Round]) -> list[tuple[str, str, float]]:
    found = [(name, label, _rate(name, rounds)) for name, label in bars]
    return [(name, label, rate) for name, label, rate in found if rate is not None]


def _rate(contestant: str, rounds: Sequence[Round]) -> float | None:
    figures: list[Mapping[str, float]] = [one.get(contestant, {}) for one in rounds]
    return middle([figure.get("drain_per_s") for figure in figures])


def _bar(y: int, kind: str, label: str, length: float, rate: str) -> list[str]:
    style = kind if kind in ("ours", "ceiling") else "bar"
    return [
        f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(label)}</text>',
        f'<rect class="{style}" x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="{HIGH - 6}" rx="2"/>',
        f'<text x="{LEFT + length + 6:.1f}" y="{y + 13}">{rate}</text>',
    ]
