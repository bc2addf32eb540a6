"""Merges in three ways, by properties, and beside a diff3 that is written in another way."""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from roost.database.embedded import EmbeddedPostgres
from tests.support import migrated_database

# Few different lines, so that the same ones come again and again.
lines = st.lists(st.sampled_from(["a", "b", "c", "d", "", "e "]), max_size=8)
texts = lines.map("\n".join)
keys = st.sampled_from(["a", "b", "c"])
scalars = st.none() | st.booleans() | st.integers(-2, 2) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(keys, values, max_size=3)

Text = Callable[[str, str, str], tuple[str | None, list[dict[str, Any]]]]
Json = Callable[[Any, Any, Any], tuple[Any, list[dict[str, Any]]]]

properties = settings(max_examples=300, deadline=None, database=None, print_blob=True)


@pytest.fixture(scope="module")
def connection(postgres: EmbeddedPostgres) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with (
        migrated_database(postgres) as conninfo,
        psycopg.connect(conninfo, autocommit=True) as connected,
    ):
        yield connected


@pytest.fixture(scope="module")
def merge_text(connection: psycopg.Connection[tuple[Any, ...]]) -> Text:
    def merge(base: str, mine: str, theirs: str) -> tuple[str | None, list[dict[str, Any]]]:
        row = connection.execute(
            "SELECT merged, hunks FROM roost.merge_text(%s, %s, %s)", [base, mine, theirs]
        ).fetchone()
        assert row is not None
        return row[0], row[1]

    return merge


@pytest.fixture(scope="module")
def merge_json(connection: psycopg.Connection[tuple[Any, ...]]) -> Json:
    def merge(base: Any, mine: Any, theirs: Any) -> tuple[Any, list[dict[str, Any]]]:
        row = connection.execute(
            "SELECT merged, hunks FROM roost.merge_json(%s, %s, %s)",
            [Jsonb(base), Jsonb(mine), Jsonb(theirs)],
        ).fetchone()
        assert row is not None
        return row[0], row[1]

    return merge


def length_of_common(old: list[str], new: list[str]) -> int:
    """How long a longest common subsequence is, by the book."""

    @functools.cache
    def longest(i: int, j: int) -> int:
        if i == len(old) or j == len(new):
            return 0
        if old[i] == new[j]:
            return 1 + longest(i + 1, j + 1)
        return max(longest(i + 1, j), longest(i, j + 1))

    return longest(0, 0)


def split(text: str) -> list[str]:
    return text.split("\n")


def reference(
    base: list[str],
    mine: list[str],
    theirs: list[str],
    in_mine: dict[int, int],
    in_theirs: dict[int, int],
) -> tuple[list[str] | None, int]:
    """diff3 of lines that are matched: the merged lines, and how many chunks collide."""
    stable = [i for i in range(len(base)) if i in in_mine and i in in_theirs]
    anchors = [(-1, -1, -1)]
    anchors += [(i, in_mine[i], in_theirs[i]) for i in stable]
    anchors += [(len(base), len(mine), len(theirs))]
    merged: list[str] = []
    collisions = 0
    for before, after in itertools.pairwise(anchors):
        old, left, right = (
            side[start + 1 : end]
            for side, start, end in zip((base, mine, theirs), before, after, strict=True)
        )
        if left == old:
            merged += right
        elif right in (old, left):
            merged += left
        else:
            collisions += 1
        if after[0] < len(base):
            merged.append(base[after[0]])
    return (None if collisions else merged), collisions


def matches(
    connection: psycopg.Connection[tuple[Any, ...]], old: list[str], new: list[str]
) -> dict[int, int]:
    row = connection.execute("SELECT roost.match_lines(%s, %s)", [old, new]).fetchone()
    assert row is not None
    return {i: j - 1 for i, j in enumerate(row[0]) if j}


@properties
@given(old=lines.filter(bool), new=lines.filter(bool))
@example(old=["a"], new=["b"])
@example(old=["a", "b", "c", "a", "b", "b", "a"], new=["c", "b", "a", "b", "a", "c"])
def test_lines_are_matched(
    connection: psycopg.Connection[tuple[Any, ...]], old: list[str], new: list[str]
) -> None:
    """The same lines, in rising order, and as many as there can be."""
    found = matches(connection, old, new)
    assert all(old[i] == new[j] for i, j in found.items())
    assert sorted(found.values()) == list(found.values())
    assert len(set(found.values())) == len(found)
    assert len(found) == length_of_common(old, new)


def test_texts_with_nothing_in_common_take_no_time(
    connection: psycopg.Connection[tuple[Any, ...]], merge_text: Text
) -> None:
    """Past the limit what is between the same beginning and end counts as replaced."""
    old = [f"old {n}" for n in range(3000)]
    new = [f"new {n}" for n in range(3000)]
    found = matches(connection, ["same", *old, "same"], ["same", *new, "same"])
    assert found == {0: 0, 3001: 3001}
    connection.execute("SET statement_timeout = '5s'")
    try:
        base = "\n".join(["first", "", *old, "", "last"])
        merged, hunks = merge_text(
            base,
            base.replace("first", "first!"),
            "\n".join(["first", "", *new, "", "last"]),
        )
    finally:
        connection.execute("RESET statement_timeout")
    assert (merged, hunks) == ("\n".join(["first!", "", *new, "", "last"]), [])


@properties
@given(base=texts, mine=texts, theirs=texts)
def test_a_text_is_merged_as_by_diff3(
    connection: psycopg.Connection[tuple[Any, ...]],
    merge_text: Text,
    base: str,
    mine: str,
    theirs: str,
) -> None:
    merged, hunks = merge_text(base, mine, theirs)
    if mine in (base, theirs):
        assert (merged, hunks) == (theirs, [])
        return
    if theirs == base:
        assert (merged, hunks) == (mine, [])
        return
    in_mine = matches(connection, split(base), split(mine))
    in_theirs = matches(connection, split(base), split(theirs))
    expected, collisions = reference(split(base), split(mine), split(theirs), in_mine, in_theirs)
    assert len(hunks) == collisions
    assert (None if merged is None else split(merged)) == expected
    for hunk in hunks:
        start = hunk["line"] - 1
        assert split(base)[start : start + len(hunk["base"])] == hunk["base"]


@properties
@given(base=texts, mine=texts, theirs=texts)
def test_properties_of_merged_texts(merge_text: Text, base: str, mine: str, theirs: str) -> None:
    assert merge_text(base, mine, base) == (mine, [])
    assert merge_text(base, base, mine) == (mine, [])
    assert merge_text(base, mine, mine) == (mine, [])
    merged, hunks = merge_text(base, mine, theirs)
    turned, turned_hunks = merge_text(base, theirs, mine)
    assert merged == turned
    assert [{**hunk, "mine": hunk["theirs"], "theirs": hunk["mine"]} for hunk in hunks] == (
        turned_hunks
    )
    assert (merged is None) == bool(hunks)
    if merged is not None:
        known = set(split(base) + split(mine) + split(theirs))
        assert set(split(merged)) <= known


@properties
@given(
    base=st.lists(st.integers(0, 99).map(str), min_size=3, max_size=20, unique=True),
    data=st.data(),
)
def test_changes_of_different_lines_always_merge(
    merge_text: Text, base: list[str], data: st.DataObject
) -> None:
    """With a line in between that both have kept."""
    kept = data.draw(st.integers(1, len(base) - 2))
    above = data.draw(st.lists(st.sampled_from(["x", "y", *base[:kept]]), max_size=5))
    below = data.draw(st.lists(st.sampled_from(["x", "z", *base[kept + 1 :]]), max_size=5))
    mine = [*above, *base[kept:]]
    theirs = [*base[: kept + 1], *below]
    merged, hunks = merge_text("\n".join(base), "\n".join(mine), "\n".join(theirs))
    assert (merged, hunks) == ("\n".join([*above, base[kept], *below]), [])


def same(one: Any, other: Any) -> bool:
    """JSON has no True that is 1."""
    return repr(sort(one)) == repr(sort(other))


def sort(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: sort(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [sort(member) for member in value]
    return value


@properties
@given(base=objects, mine=objects, theirs=objects)
def test_properties_of_merged_objects(
    merge_json: Json, base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    for merged, hunks in (
        merge_json(base, mine, base),
        merge_json(base, base, mine),
        merge_json(base, mine, mine),
    ):
        assert same(merged, mine)
        assert hunks == []
    merged, hunks = merge_json(base, mine, theirs)
    turned, turned_hunks = merge_json(base, theirs, mine)
    assert sorted(hunk["path"] for hunk in hunks) == sorted(hunk["path"] for hunk in turned_hunks)
    if not hunks:
        assert same(merged, turned)
    assert merged.keys() <= mine.keys() | theirs.keys()
    for key in ("a", "b", "c"):
        sides = [side.get(key, "nothing") for side in (base, mine, theirs)]
        collides = any(hunk["path"][0] == key for hunk in hunks)
        if same(sides[0], sides[1]) and key in base:
            assert not collides
            assert same(merged.get(key, "nothing"), sides[2])
        elif same(sides[0], sides[2]) and key in base:
            assert not collides
            assert same(merged.get(key, "nothing"), sides[1])
    for hunk in hunks:
        found: Any = merged
        for key in hunk["path"]:
            found = found[key]
        assert same(found, hunk["theirs"])


@properties
@given(
    base=st.lists(st.integers(0, 6), unique=True),
    mine=st.lists(st.integers(0, 6), unique=True),
    theirs=st.lists(st.integers(0, 6), unique=True),
)
def test_sets_are_united_with_what_was_removed(
    merge_json: Json, base: list[int], mine: list[int], theirs: list[int]
) -> None:
    merged, hunks = merge_json(base, mine, theirs)
    was, left, right = set(base), set(mine), set(theirs)
    assert hunks == []
    assert len(merged) == len(set(merged))
    if len({frozenset(was), frozenset(left), frozenset(right)}) < 3:
        # Perhaps in another order.
        assert set(merged) in (left, right)
    else:
        assert set(merged) == (left | right) - (was - left) - (was - right)


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "merged", "paths"),
    [
        ({}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}, []),
        ({"a": 1}, {}, {"a": 2}, {"a": 2}, []),
        ({"a": 1}, {"a": 2}, {}, {"a": 2}, []),
        ({"a": 1}, {}, {}, {}, []),
        ({}, {"a": 1}, {"a": 2}, {"a": 2}, [["a"]]),
        ({"a": None}, {"a": 1}, {"a": None}, {"a": 1}, []),
        (
            {"a": {"b": {"c": 1, "d": 1}}},
            {"a": {"b": {"c": 2, "d": 1}}},
            {"a": {"b": {"c": 3, "d": 4}}},
            {"a": {"b": {"c": 3, "d": 4}}},
            [["a", "b", "c"]],
        ),
        # A list in which something is twice, or which has more than single values, is no set.
        ([1, 1], [1, 1, 2], [1, 1, 3], [1, 1, 3], [[]]),
        ([{}], [{}, {"a": 1}], [{}, {"b": 1}], [{}, {"b": 1}], [[]]),
        ([3, 1], [3, 1, 2], [3, 1, 0], [3, 1, 0, 2], []),
        # It was something else before.
        ({"a": "x"}, {"a": {"b": 1}}, {"a": {"c": 1}}, {"a": {"b": 1, "c": 1}}, []),
        ("x", [1], [2], [2], [[]]),
        ("a\n\nb", "A\n\nb", "a\n\nB", "A\n\nB", []),
        ("a\nb", "A\nb", "a\nB", "a\nB", [[]]),
    ],
)
def test_merged_values(
    merge_json: Json, base: Any, mine: Any, theirs: Any, merged: Any, paths: list[Any]
) -> None:
    answer, hunks = merge_json(base, mine, theirs)
    assert same(answer, merged)
    assert [hunk["path"] for hunk in hunks] == paths


def test_large_things_are_merged_in_time_that_grows_with_them(
    connection: psycopg.Connection[tuple[Any, ...]], merge_text: Text, merge_json: Json
) -> None:
    """What takes longer than a call may stops all that a device has to send."""
    text = [str(number % 10) for number in range(60_000)]
    mine, theirs = ["mine", *text[1:]], [*text[:-1], "theirs"]
    numbers = list(range(20_000))
    fields = {f"k{number}": 0 for number in numbers}
    with connection.transaction():
        connection.execute("SET LOCAL statement_timeout = '4s'")
        merged, hunks = merge_text(*("\n".join(one) for one in (text, mine, theirs)))
        assert (merged, hunks) == ("\n".join(["mine", *text[1:-1], "theirs"]), [])
        merged, hunks = merge_json(numbers, [*numbers, -1], [*numbers[1:], -2])
        assert (merged, hunks) == ([*numbers[1:], -2, -1], [])
        merged, hunks = merge_json(fields, fields | {"m": 1}, fields | {"t": 1})
        assert (merged, hunks) == (fields | {"m": 1, "t": 1}, [])
