"""Forms of queues that ask for a part of the output, and their instructions."""

from __future__ import annotations

from html import escape

import pytest

from labeling_app.console.form import presentation_at
from labeling_app.console.instructions import instructions_html
from labeling_app.domain.controls import controls


def test_presentation_at__a_part_of_the_output__keeps_the_keys_of_that_part() -> None:
    presentation = {"keys": {"tier": {"A": "x"}, "who.role": {"boss": "b"}}, "shown_as": {"text": "code"}}
    assert presentation_at(presentation, "tier") == {"keys": {"": {"A": "x"}}, "shown_as": {"text": "code"}}
    assert presentation_at(presentation, "who") == {
        "keys": {"role": {"boss": "b"}},
        "shown_as": {"text": "code"},
    }
    assert presentation_at(presentation, "") == presentation


def test_controls__a_part_with_fixed_keys__has_them() -> None:
    made = controls({"enum": ["A", "B"]}, {"keys": {"": {"A": "x"}}}, title="Tier")
    assert (made[0].title, [option.key for option in made[0].options]) == ("Tier", ["x", ""])


def test_instructions_html__markdown__is_html() -> None:
    assert instructions_html("Pick **one**.\n\n- a\n- b") == (
        "<p>Pick <strong>one</strong>.</p>\n<ul>\n<li>a</li>\n<li>b</li>\n</ul>"
    )


def test_instructions_html__html_and_scripts__are_text() -> None:
    made = instructions_html("<script>alert(1)</script> <b onclick=x>b</b>")
    assert "<script" not in made
    assert "<b " not in made
    assert "&lt;script&gt;" in made


def test_instructions_html__links_and_pictures__are_safe() -> None:
    made = instructions_html(
        "[a](javascript:alert(1)) [b](https://example.org/x) ![a cat](https://example.org/cat.png) after"
    )
    assert "javascript" not in made
    assert '<a href="https://example.org/x" rel="noopener noreferrer" target="_blank">b</a>' in made or (
        'href="https://example.org/x"' in made and 'target="_blank"' in made
    )
    assert "<img" not in made
    assert "<em>a cat</em> after" in made


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 20_000, id="brackets"),
        pytest.param("\n".join(f"{'    ' * depth}- <a>" for depth in range(400)), id="nested"),
    ],
)
def test_instructions_html__too_much_to_read__is_shown_as_written(text: str) -> None:
    assert instructions_html(text) == f"<pre>{escape(text)}</pre>"
