"""What every task log promises about searching: what is found, in which order, page by page."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskqueue.errors import InvalidSearch
from taskqueue.status import Status
from taskqueue.tasklog.entry import COLUMNS, SORTS, Filter, Op, Search
from taskqueue.tasklog.memory import InMemoryTaskLogBroker
from tests.support.task_logs import Story, ids

S = Status
PARENT = "01890000-0000-7000-8000-000000000000"
RUNS: list[tuple[Status, dict[str, Any]]] = [
    (S.COMPLETED, {"name": "shop:mail", "owner": "ann", "label": "50%_off", "priority": 1}),
    (S.ENQUEUED, {"name": "shop:bill", "owner": "bob", "queue": "reports", "category": "money"}),
    (S.FAILED, {"name": "shop:mail", "owner": "ann", "label": "50 off", "parent_id": PARENT}),
    (S.RUNNING, {"name": "shop:Mailing", "priority": 9, "parent_id": PARENT}),
    (S.ENQUEUED, {"name": "a.b:c", "owner": "ann", "label": "Ünïcode's \\ 100%"}),
    (S.COMPLETED, {"name": "shop:bill", "parent_id": PARENT, "label": ""}),
]


@pytest.fixture
def found(story: Story):
    """Searches in six entries; the answer is their numbers, in the order found."""
    added = [story.add(**values) for _, values in RUNS]
    for task, (status, _) in zip(added, RUNS, strict=True):
        if status is S.RUNNING:
            story.begin(task, worker="host/mail/7")
        elif status is not S.ENQUEUED:
            story.run(task, status, report=f'{{"kind":"error","message":"{status.label} Größe"}}'.encode())

    def search(*filters: Filter, **search: Any) -> list[int]:
        page = story.log.search(Search(filters=filters, **search))
        assert page.next is None
        return [added.index(i) for i in ids(page.entries)]

    return search


@pytest.mark.parametrize(
    ("condition", "numbers"),
    [
        (Filter("status", Op.EQ, S.ENQUEUED), [4, 1]),
        (Filter("status", Op.NE, S.ENQUEUED), [5, 3, 2, 0]),
        (Filter("status", Op.GE, S.COMPLETED), [5, 2, 0]),
        (Filter("status", Op.LT, S.RUNNING), [4, 1]),
        (Filter("status", Op.IN, (S.RUNNING, S.FAILED)), [3, 2]),
        (Filter("status", Op.IN, ()), []),
        (Filter("name", Op.EQ, "shop:mail"), [2, 0]),
        (Filter("name", Op.LIKE, "shop:%"), [5, 3, 2, 1, 0]),
        (Filter("name", Op.LIKE, "%mail%"), [3, 2, 0]),
        (Filter("name", Op.LIKE, "shop:_ail"), [2, 0]),
        (Filter("name", Op.LIKE, "mail"), []),
        (Filter("name", Op.IN, ["a.b:c", "shop:bill", "?"]), [5, 4, 1]),
        (Filter("label", Op.LIKE, r"50\%\_off"), [0]),
        (Filter("label", Op.LIKE, "50%off"), [2, 0]),
        (Filter("label", Op.LIKE, r"%\\ 100\%"), [4]),
        (Filter("label", Op.EQ, "Ünïcode's \\ 100%"), [4]),
        (Filter("label", Op.EQ, ""), [5]),
        (Filter("label", Op.EQ, None), [3, 1]),
        (Filter("owner", Op.EQ, "ann"), [4, 2, 0]),
        (Filter("owner", Op.NE, "ann"), [5, 3, 1]),
        (Filter("owner", Op.EQ, None), [5, 3]),
        (Filter("owner", Op.NE, None), [4, 2, 1, 0]),
        (Filter("owner", Op.GT, "ann"), [1]),
        (Filter("owner", Op.LIKE, "%"), [4, 2, 1, 0]),
        (Filter("queue", Op.EQ, "reports"), [1]),
        (Filter("category", Op.EQ, "money"), [1]),
        (Filter("priority", Op.LT, 5), [0]),
        (Filter("priority", Op.GE, 9), [3]),
        (Filter("parent_id", Op.EQ, PARENT), [5, 3, 2]),
        (Filter("parent_id", Op.EQ, None), [4, 1, 0]),
        (Filter("worker", Op.EQ, "host/mail/7"), [3]),
        (Filter("attempts", Op.EQ, 0), [4, 1]),
        (Filter("started_at", Op.EQ, None), [4, 1]),
        (Filter("created_at", Op.GT, 0), [5, 4, 3, 2, 1, 0]),
        (Filter("created_at", Op.LE, 0), []),
        (Filter("report", Op.LIKE, "%FAILED größe%"), [2]),
        (Filter("report", Op.LIKE, "%big%"), []),
        (Filter("created_at", Op.LT, 2**63 - 1), [5, 4, 3, 2, 1, 0]),
    ],
    ids=lambda value: f"{value.column} {value.op} {value.value!r}" if isinstance(value, Filter) else "",
)
def test_a_condition_finds_what_it_says(found, condition: Filter, numbers: list[int]) -> None:
    assert found(condition) == numbers


def test_conditions_hold_together(found) -> None:
    assert found(Filter("owner", Op.EQ, "ann"), Filter("status", Op.NE, S.FAILED)) == [4, 0]
    assert found(Filter("status", Op.GE, S.RUNNING), Filter("status", Op.NE, S.COMPLETED)) == [3, 2]
    assert found(Filter("status", Op.EQ, S.FAILED), Filter("status", Op.EQ, S.RUNNING)) == []
    assert found(Filter("parent_id", Op.EQ, PARENT), Filter("status", Op.IN, [S.FAILED])) == [2]
    assert found(Filter("name", Op.EQ, "shop:mail"), Filter("status", Op.IN, [S.FAILED, S.ENQUEUED])) == [2]


def test_an_owner_sees_only_what_is_theirs(found) -> None:
    assert found(owner="ann") == [4, 2, 0]
    assert found(Filter("owner", Op.EQ, "bob"), owner="ann") == []
    assert found(Filter("owner", Op.NE, "ann"), owner="ann") == []
    assert found(Filter("status", Op.IN, [S.FAILED, S.ENQUEUED]), owner="ann") == [4, 2]


@pytest.mark.parametrize(
    ("sort", "numbers"),
    [
        ("created", [0, 1, 2, 3, 4, 5]),
        ("status", [1, 4, 3, 0, 5, 2]),
        ("owner", [0, 2, 4, 1]),
        ("name", [4, 3, 1, 5, 0, 2]),
    ],
)
def test_sorted_both_ways(found, sort: str, numbers: list[int]) -> None:
    assert found(sort=sort, descending=False) == numbers
    assert found(sort=sort) == numbers[::-1]
    some = [S.ENQUEUED, S.COMPLETED]
    assert found(Filter("status", Op.IN, some), sort=sort) == [n for n in numbers[::-1] if RUNS[n][0] in some]


def test_a_listed_entry_has_everything_but_its_payload(story: Story) -> None:
    task = story.add(owner="ann", payload=b"large")
    story.run(task)
    (entry,) = story.log.search(Search()).entries
    assert entry.payload == b""
    whole = story.get(task)
    assert whole.payload == b"large"
    fields = [field for field in type(entry).__struct_fields__ if field != "payload"]
    assert [getattr(entry, field) for field in fields] == [getattr(whole, field) for field in fields]


# Pages


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("descending", [True, False])
def test_pages_follow_each_other_without_gap_or_double(story: Story, sort: str, descending: bool) -> None:
    tasks = [story.add(name=f"n{n % 3}", owner=f"o{n % 4}") for n in range(23)]
    for task in tasks[::2]:
        story.run(task)
    search = Search(sort=sort, descending=descending)
    everything = ids(story.log.search(search).entries)
    assert len(everything) == 23
    seen: list[str] = []
    after: str | None = None
    while True:
        page = story.log.search(Search(sort=sort, descending=descending, limit=5, after=after))
        seen += ids(page.entries)
        if page.next is None:
            break
        after = page.next
    assert seen == everything


def test_the_last_full_page_has_no_next(story: Story) -> None:
    for _ in range(4):
        story.add()
    page = story.log.search(Search(limit=2))
    assert page.next is not None
    assert story.log.search(Search(limit=2, after=page.next)).next is None


def test_what_is_added_meanwhile_moves_no_page(story: Story) -> None:
    tasks = [story.add() for _ in range(4)]
    page = story.log.search(Search(limit=2))
    story.add()
    assert ids(story.log.search(Search(limit=2, after=page.next)).entries) == [tasks[1], tasks[0]]


def test_a_cursor_is_good_for_its_own_search_only(story: Story) -> None:
    for _ in range(4):
        story.add(owner="ann")
    after = story.log.search(Search(limit=2)).next
    assert after is not None
    others = [
        Search(after=after, sort="name"),
        Search(after=after, descending=False),
        Search(after=after, owner="ann"),
        Search(after=after, filters=(Filter("owner", Op.EQ, "ann"),)),
    ]
    for search in others:
        with pytest.raises(InvalidSearch, match="another search"):
            story.log.search(search)
    story.log.search(Search(after=after, limit=3))


# Bad searches


@pytest.mark.parametrize(
    ("search", "says"),
    [
        (Search(sort="createt"), "unknown sort order 'createt', did you mean 'created'"),
        (Search(sort="payload"), "known: created, status, owner, name"),
        (Search(limit=0), "limit 0: a page holds 1 to 1,000 entries"),
        (Search(limit=1_000_000), "1 to 1,000"),
        (Search(limit=True), "1 to 1,000"),
        (Search(filters=(Filter("statsu", Op.EQ, S.FAILED),)), "unknown column 'statsu', did you mean 'status'"),
        (Search(filters=(Filter("payload", Op.LIKE, "%"),)), "unknown column 'payload'; known: id, name"),
        (Search(filters=(Filter("1=1; --", Op.EQ, 1),)), "unknown column"),
        (Search(filters=(Filter("name", "lik", "x"),)), "unknown comparison 'lik', did you mean 'like'"),  # type: ignore[arg-type] # on purpose
        (Search(filters=(Filter("status", Op.EQ, 99),)), "status eq: 99 is a int, not a Status"),
        (Search(filters=(Filter("status", Op.LIKE, "fail%"),)), "columns of text"),
        (Search(filters=(Filter("priority", Op.EQ, True),)), "True is a bool, not a int"),
        (Search(filters=(Filter("priority", Op.IN, [1, "2"]),)), "'2' is a str, not a int"),
        (Search(filters=(Filter("priority", Op.EQ, None),)), "None is a NoneType"),
        (Search(filters=(Filter("owner", Op.GT, None),)), "None is a NoneType"),
        (Search(filters=(Filter("name", Op.IN, "abc"),)), "'abc' is no list"),
        (Search(filters=(Filter("name", Op.IN, ["x"] * 1001),)), "1,001 values; 1,000 at the most"),
        (Search(filters=(Filter("name", Op.LIKE, "x\\"),)), "lone backslash"),
        (Search(after="tampered"), "begin at the first page"),
        (Search(after=""), "begin at the first page"),
        (Search(after="Ünïcode"), "begin at the first page"),
        (Search(after="AAAAAAAAAAAAAAAA"), "begin at the first page"),
    ],
)
def test_a_bad_search_is_refused_in_one_clear_line(story: Story, search: Search, says: str) -> None:
    with pytest.raises(InvalidSearch) as caught:
        story.log.search(search)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_cursor_never_passes(story: Story, data: st.DataObject) -> None:
    if len(story.log.search(Search()).entries) < 3:
        for _ in range(3):
            story.add()
    after = story.log.search(Search(limit=1)).next
    assert after is not None
    at = data.draw(st.integers(0, len(after) - 2))
    other = data.draw(st.sampled_from("ABCxyz019-_").filter(lambda c: c != after[at]))
    with pytest.raises(InvalidSearch):
        story.log.search(Search(limit=1, after=after[:at] + other + after[at + 1 :]))


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
VALUES: dict[type, st.SearchStrategy[Any]] = {str: TEXT, int: st.integers(-(2**63), 2**63 - 1), S: st.sampled_from(S)}


@st.composite
def conditions(draw: st.DrawFn) -> Filter:
    column = draw(st.sampled_from(sorted(COLUMNS)))
    kind = COLUMNS[column]
    op = draw(st.sampled_from([o for o in Op if o is not Op.LIKE or kind is str]))
    value = draw(st.lists(VALUES[kind], max_size=3) if op is Op.IN else VALUES[kind])
    return Filter(column, op, value.rstrip("\\") if op is Op.LIKE else value)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters=st.lists(conditions(), max_size=3), sort=st.sampled_from(sorted(SORTS)), descending=st.booleans())
def test_whatever_is_asked_within_the_rules_has_an_answer(story: Story, filters, sort: str, descending: bool) -> None:
    """Values are parameters: no text in them is ever read as SQL."""
    story.log.search(Search(filters=tuple(filters), sort=sort, descending=descending))


# Anything at all

SQL = [
    "' OR '1'='1",
    "ann'; DROP TABLE taskqueue_entry; --",
    '" OR ""="',
    "%' UNION SELECT 1 --",
    "\\' OR 1=1 #",
    ":owner",
    "?",
]
WILD_TEXT = st.one_of(st.sampled_from([*SQL, *COLUMNS, *SORTS, *Op]), st.text(max_size=12), st.just("x" * 70_000))
WILD = st.one_of(
    WILD_TEXT, st.none(), st.booleans(), st.integers(), st.just(10**5000), st.floats(), st.binary(max_size=4)
)
WILD_MANY = st.one_of(WILD, st.lists(WILD, max_size=3), st.sampled_from(Status))


@st.composite
def wild_searches(draw: st.DrawFn) -> Search:
    """Often right in all but one thing, so that it gets as far as the store."""
    column = st.one_of(st.sampled_from(sorted(COLUMNS)), st.sampled_from(sorted(COLUMNS)), WILD)
    op = st.one_of(st.sampled_from(Op), st.sampled_from(Op), WILD)
    filters = [Filter(draw(column), draw(op), draw(WILD_MANY)) for _ in range(draw(st.integers(0, 2)))]
    return Search(
        filters=tuple(filters),
        owner=draw(st.one_of(st.none(), WILD_TEXT, WILD)),
        sort=draw(st.one_of(st.sampled_from(sorted(SORTS)), WILD)),
        limit=draw(st.one_of(st.just(50), st.just(50), WILD)),
        after=draw(st.one_of(st.none(), st.none(), WILD)),
    )


def ask_anything(story: Story, examples: int) -> None:
    """Answered as a log in memory answers, which knows no SQL, or refused in one line; and nothing has changed."""
    entries = [story.entry(owner=text, name=f"shop:{text}", label=text) for text in [*SQL, "ann", "Ünï\n\x1b[31m"]]
    plain = InMemoryTaskLogBroker(clock=story.clock)
    story.log.add(entries)
    plain.add(entries)

    @settings(max_examples=examples)
    @given(search=wild_searches())
    def ask(search: Search) -> None:
        try:
            answer = ids(plain.search(search).entries)
        except InvalidSearch:
            with pytest.raises(InvalidSearch) as refused:
                story.log.search(search)
            assert str(refused.value).isprintable()
            assert len(str(refused.value)) < 500
            return
        assert ids(story.log.search(search).entries) == answer

    ask()
    assert ids(story.log.search(Search(descending=False)).entries) == [entry.id for entry in entries]


def test_whatever_is_asked_is_answered_truly_or_refused(story: Story) -> None:
    ask_anything(story, 150)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_whatever_is_asked_ten_thousand_times_is_answered_truly_or_refused(story: Story) -> None:
    ask_anything(story, 10_000)
