"""The console's modules by themselves, each in a browser: what is wrong in words, what fits, ranks, clocks, the outbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from labeling_app.domain.controls import controls
from labeling_app.domain.keys import assign_keys
from tests.browser.conftest import Visitor
from tests.browser.labeling_scene import script_modules

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MOST_LINES = 470
TIER = {"kind": "choice", "path": ["tier"], "required": True, "options": [{"value": "A"}, {"value": "B"}]}
SCORE = {"kind": "scale", "path": ["score"], "minimum": 0, "maximum": 10, "integer": True}


@pytest.fixture
def call(visitor: Callable[..., Visitor]) -> Callable[..., Any]:
    """Calls a function of a module: call("value", "problems", control, value)."""
    one = visitor("labeling-modules")
    one.go("/admin/login/")
    return lambda module, name, *given: call_in(one.page, module, name, *given)


def call_in(page: Page, module: str, name: str, *given: Any) -> Any:
    script = """async ([module, name, given]) => {
        const found = await import(`/static/labeling_app/console_${module}.js`);
        return found[name](...given);
    }"""
    return page.evaluate(script, [module, name, list(given)])


def test_modules__are_short_and_import_only_each_other() -> None:
    assert len(script_modules()) > 15
    for path in script_modules():
        text = path.read_text()
        assert text.count("\n") < MOST_LINES, path.name
        assert "innerHTML" not in text and "console.log" not in text, path.name


def test_problems__of_an_answer__are_told_in_words(call: Callable[..., Any]) -> None:
    told = lambda control, *value: [one["message"] for one in call("value", "problems", control, *value)]  # noqa: E731
    assert told(TIER) == ["Pick one."]
    assert told(TIER, "C") == ["Pick one of these."]
    assert told(TIER, "A") == []
    assert told(SCORE) == []
    assert told(SCORE, 11) == ["Give a number from 0 to 10."]
    assert told(SCORE, 2.5) == ["Give a whole number."]
    assert told({"kind": "number", "above": 1, "path": []}, 1) == ["Give a number above 1."]
    assert told({"kind": "number", "step": 0.1, "path": []}, 0.3) == []
    assert told({"kind": "text", "min_length": 3, "path": []}, "ab") == [
        "Write at least 3 characters: there are 2."
    ]
    assert told({"kind": "text", "max_length": 1, "path": []}, "😀") == []
    assert told({"kind": "text", "pattern": "^[a-z]+$", "path": []}, "A") == ["This must look like ^[a-z]+$."]
    tags = {"kind": "tags", "must_differ": True, "max_items": 2, "path": []}
    assert told(tags, ["a", "a"]) == ["“a” is there twice."]
    assert told(tags, ["a", "b", "c"]) == ["Give at most 2; there are 3."]
    assert told({"kind": "text", "nullable": True, "required": True, "path": []}, None) == []


def test_problems__inside_groups_and_lists__name_their_paths(call: Callable[..., Any]) -> None:
    group = {
        "kind": "group",
        "path": ["who"],
        "required": True,
        "children": [{**TIER, "path": ["who", "tier"]}],
    }
    assert call("value", "problems", group, {}) == [{"path": ["who", "tier"], "message": "Pick one."}]
    entries = {"kind": "list", "path": ["all"], "item": {**SCORE, "path": []}}
    assert call("value", "problems", entries, [1, 99]) == [
        {"path": ["all", 1], "message": "Give a number from 0 to 10."}
    ]


def test_fitting__an_answer_to_a_changed_form__keeps_what_fits(call: Callable[..., Any]) -> None:
    answer = {"tier": "A", "score": 99, "old": "x"}
    assert call("value", "fitting", [TIER, SCORE], answer) == [{"tier": "A"}, [["score", 99], ["old", "x"]]]
    assert call("value", "fitting", [{**TIER, "path": []}], "C") == [None, [["", "C"]]]


def test_rank__what_was_typed__starts_first_then_words_then_anywhere(call: Callable[..., Any]) -> None:
    ranks = [
        call("picks", "rank", "card payment fee charged", typed.split())
        for typed in ("card pay", "fee", "arged", "x")
    ]
    assert ranks[:3] == [0, 1, 2]
    assert ranks[3] == float("inf")


def test_words_for_values__are_for_people(call: Callable[..., Any]) -> None:
    assert [call("dom", "numberText", n) for n in (2024, 1234567.5, 0.1, -12345)] == [
        "2024",
        "1,234,567.5",
        "0.1",
        "-12,345",
    ]
    assert call("dom", "answerText", {"label": "spam"}) == "spam"
    assert call("dom", "answerText", {"b": True, "a": [1, None]}, 99, ["a"]) == "a: 1, none · b: yes"
    assert [call("dom", "spanText", s) for s in (4, 600, 7200, 400000)] == ["4 s", "10 min", "2 h", "5 days"]
    assert call("dom", "same", {"a": 1, "b": [2]}, {"b": [2], "a": 1})
    assert not call("dom", "same", {"a": 1}, {"a": 1, "b": None})


def test_clock__long_pauses__are_capped(call: Callable[..., Any]) -> None:
    assert call("clock", "paceOf", [1000, 2000]) is None
    assert call("clock", "paceOf", [10000] * 40) == 360


def test_clock__idle_and_hidden__do_not_count(visitor: Callable[..., Visitor]) -> None:
    one = visitor("labeling-modules")
    one.go("/admin/login/")
    script = """async () => {
        const { makeClock } = await import("/static/labeling_app/console_clock.js");
        let time = 0;
        const clock = makeClock(() => time);
        const read = [];
        clock.start(500);
        time += 2000; clock.touch(); read.push(clock.read());
        time += 3600000; clock.touch(); read.push(clock.read());
        time += 1000; clock.hide(); time += 5000000; clock.touch(); time += 1000; read.push(clock.read());
        return read;
    }"""
    assert one.page.evaluate(script) == [2500, 62500, 64500]


def test_outbox__fails_twice__sends_once_each_in_order(visitor: Callable[..., Visitor]) -> None:
    one = visitor("labeling-modules")
    one.go("/admin/login/")
    script = """async () => {
        const { makeOutbox } = await import("/static/labeling_app/console_outbox.js");
        const { NotReached } = await import("/static/labeling_app/console_transport.js");
        const seen = [];
        let failures = 2;
        const request = async (method, path, body, { key }) => {
            if (failures-- > 0) throw new NotReached("no");
            seen.push(key);
            return {};
        };
        const events = [];
        const outbox = makeOutbox({ person: "p", request, extra: () => ({}), listener: (what, record) => record && events.push(`${what} ${record.key}`) });
        for (const key of ["one", "two", "three"]) outbox.add({ key, queue: "q", lease: key, kind: "submit", body: {} });
        const cancelled = outbox.cancel("two");
        for (let n = 0; n < 100 && outbox.waiting().length; n += 1) { outbox.kick(); await new Promise((done) => setTimeout(done, 20)); }
        return [seen, events, cancelled.key, Object.keys(localStorage).filter((name) => name.startsWith("golden-labeling.p.")).length];
    }"""
    seen, events, cancelled, left = one.page.evaluate(script)
    assert seen == ["one", "three"]
    assert events == ["cancelled two", "failed one", "failed one", "sent one", "sent three"]
    assert (cancelled, left) == ("two", 0)


def test_view__text_that_looks_like_markup__stays_text(visitor: Callable[..., Visitor]) -> None:
    one = visitor("labeling-modules")
    one.go("/admin/login/")
    script = """async (input) => {
        const { drawExample } = await import("/static/labeling_app/console_view.js");
        const drawn = drawExample(input, []);
        return [drawn.querySelectorAll("img, script, a").length, drawn.textContent, drawn.querySelectorAll("table").length, drawn.querySelectorAll("details").length];
    }"""
    nasty = {
        "text": "<img src=x onerror=alert(1)> [x](javascript:alert(1)) https://example.org",
        "rows": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
        "deep": {"one": {"two": {"three": [{"four": {"five": 1}}]}}},
    }
    elements, text, tables, folds = one.page.evaluate(script, nasty)
    assert (elements, tables) == (0, 1)
    assert "<img src=x onerror=alert(1)>" in text
    assert folds >= 2


ANSWERS: list[tuple[dict[str, Any], Any]] = [
    ({"enum": ["a", "b", 3, None]}, 3),
    ({"enum": ["a", None]}, None),
    ({"enum": [f"option {n}" for n in range(60)]}, "option 42"),
    ({"type": "boolean"}, False),
    ({"type": "number", "minimum": 0, "maximum": 1}, 0.25),
    ({"type": "integer", "minimum": -5, "maximum": 5}, 0),
    ({"type": "number"}, -1.5),
    ({"type": "string"}, "two\nlines"),
    ({"type": ["string", "null"]}, None),
    ({"type": "array", "items": {"enum": ["x", "y", "z"]}}, ["x", "z"]),
    ({"type": "array", "items": {"type": "string"}}, ["one", "two"]),
    ({"type": "array", "items": {"type": "number"}}, [1, 2.5]),
    (
        {
            "type": "array",
            "items": {"properties": {"start": {"type": "integer"}, "kind": {"enum": ["person", "place"]}}},
        },
        [{"start": 3, "kind": "place"}, {"start": 9}],
    ),
    (
        {"properties": {"a": {"properties": {"b": {"type": "string"}}}, "c": {}}},
        {"a": {"b": "x"}, "c": {"d": [1]}},
    ),
    ({}, {"any": ["thing", None]}),
    ({}, "3"),
    ({"properties": {"a": {"type": "string"}}}, {"a": "x", "not in the schema": 1}),
]


def test_form__filled_with_an_answer__gives_it_back(visitor: Callable[..., Visitor]) -> None:
    one = visitor("labeling-modules")
    one.go("/admin/login/")
    script = """async ([controls, value]) => {
        const { makeForm } = await import("/static/labeling_app/console_form.js");
        let changes = 0;
        const form = makeForm({ controls, keys: { confidence: "c", notes: "m" }, fieldPath: "", changed: () => { changes += 1; } });
        document.body.append(form.element);
        form.fill({ value, confidence: 0.35, notes: "n" });
        form.begin();
        const given = form.value();
        const right = form.check();
        form.fill({});
        return [given === undefined ? "nothing" : given, right, form.confidence(), changes];
    }"""
    for schema, value in ANSWERS:
        documents = [control.document() for control in assign_keys(controls(schema))]
        given, right, confidence, changes = one.page.evaluate(script, [documents, value])
        assert given == value, schema
        assert (right, confidence, changes) == (True, None, 0), schema


def test_keys__of_a_form__go_to_the_active_control_alone(visitor: Callable[..., Visitor]) -> None:
    one = visitor("labeling-modules")
    one.go("/admin/login/")
    script = """async (controls) => {
        const { makeForm } = await import("/static/labeling_app/console_form.js");
        const form = makeForm({ controls, keys: { confidence: "c", notes: "m" }, fieldPath: "", changed: () => {} });
        document.body.append(form.element);
        form.begin();
        const seen = [];
        for (const key of ["5", "2", "y", "3"]) {
            const act = form.keyAction(key);
            if (act) act();
            seen.push([key, Boolean(act), form.value() || null]);
        }
        return seen;
    }"""
    schema = {
        "properties": {
            "first": {"enum": ["a", "b"]},
            "sure": {"type": "boolean"},
            "marks": {"type": "array", "items": {"enum": ["p", "q", "r", "s", "t"]}},
        },
        "required": ["first", "sure"],
        "x-order": ["first", "sure", "marks"],
    }
    documents = [control.document() for control in assign_keys(controls(schema))]
    assert one.page.evaluate(script, documents) == [
        ["5", False, None],  # the first control has no fifth option, and no other is being answered
        ["2", True, {"first": "b"}],
        ["y", True, {"first": "b", "sure": True}],
        ["3", False, {"first": "b", "sure": True}],
    ]
