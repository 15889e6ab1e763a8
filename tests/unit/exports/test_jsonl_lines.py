"""Lines of an export: cut out of the canonical text or parsed, the JSON is the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.domain.content import Content, tombstone
from datasets_app.domain.number_types import number_restorer
from exports_app.writers.jsonl_lines import LineFormat, LineMaker

TEXTS = st.text(
    alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8
) | st.sampled_from(
    ['},"output":{', '"type":"x"}', "{", "}", "\\", '"', ',"status":"validated"', "12345678901234567890"]
)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXTS | st.just(1e17) | st.just(0.5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(TEXTS | st.sampled_from(["output", "type", "labels"]), VALUES, max_size=3)
CONTENTS = st.builds(
    Content,
    type=st.sampled_from(["plain", "other"]),
    input=VALUES | OBJECTS,
    output=st.none() | VALUES | OBJECTS,
    labels=OBJECTS,
    metadata=OBJECTS,
    provenance=OBJECTS | st.fixed_dictionaries({"label": OBJECTS}),
    source=st.none() | TEXTS,
    status=st.sampled_from(["pending", "validated", "rejected"]),
)


def _expected(content: Content, id_: str) -> dict[str, Any]:
    line = {"id": id_, "input": content.input, "output": content.output}
    line |= {
        name: value for name in ("labels", "metadata", "provenance") if (value := getattr(content, name))
    }
    return line


@given(CONTENTS)
def test_line__any_content__is_the_same_json_as_composed_by_hand(content: Content) -> None:
    line = LineMaker({"plain": LineFormat()}).line('"x1"', content.text())
    assert line is not None
    assert json.loads(line.text) == _expected(content, "x1")
    assert "\n" not in line.text
    assert (line.type_name, line.status, line.class_key) == (content.type, content.status, None)


def test_line__flat_content__exact_text() -> None:
    content = Content(
        "plain", {"text": "a"}, {"label": "b"}, labels={"l": 1}, metadata={"m": 2}, status="validated"
    )
    line = LineMaker({}).line('"x"', content.text())
    assert line is not None
    assert (
        line.text
        == '{"id":"x","input":{"text":"a"},"output":{"label":"b"},"labels":{"l":1},"metadata":{"m":2}}'
    )


def test_line__answer_of_labelers__tells_where_it_comes_from() -> None:
    content = Content("plain", {"text": "a"}, {"label": "b"}, provenance={"label": {"origin": "single"}})
    line = LineMaker({}).line('"x"', content.text())
    assert line is not None
    assert line.text == (
        '{"id":"x","input":{"text":"a"},"output":{"label":"b"},"provenance":{"label":{"origin":"single"}}}'
    )


def test_line__long_integer__is_written_as_the_double_it_stands_for() -> None:
    line = LineMaker({}).line('"x"', Content("plain", {"n": 1e17}, {"label": "b"}).text())
    assert line is not None
    assert line.text == '{"id":"x","input":{"n":1e+17},"output":{"label":"b"}}'


def test_line__type_with_numbers__has_them_restored() -> None:
    restore = number_restorer({"properties": {"n": {"type": "number"}}})
    line = LineMaker({"t": LineFormat(restore_input=restore)}).line(
        '"x"', Content("t", {"n": 75.0}, {"n": 75.0}).text()
    )
    assert line is not None
    assert line.text == '{"id":"x","input":{"n":75.0},"output":{"n":75}}'


@pytest.mark.parametrize(
    ("output", "key"),
    [
        ({"label": "b"}, '"b"'),
        ({"label": 3}, "3"),
        ({}, "null"),
        (None, "null"),
        ({"label": {"a": 1}}, '{"a":1}'),
    ],
)
def test_line__class_asked_for__is_json_text(output: Any, key: str) -> None:
    maker = LineMaker({"t": LineFormat(class_path=("label",))}, with_classes=True)
    line = maker.line('"x"', Content("t", {"a": 1}, output).text())
    assert line is not None
    assert line.class_key == key


def test_line__tombstone__is_none() -> None:
    assert LineMaker({}).line('"x"', tombstone("00", "a name", "2026-01-01")) is None
