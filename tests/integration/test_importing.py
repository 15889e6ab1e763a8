"""Files into a working copy: every bad row is told with file, line, path, found and expected; nothing half done."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from datasets_app.errors import MalformedRow, UnknownType, WorktreeClosed
from datasets_app.models import Example, ExampleIdentity
from datasets_app.services.curation.examples import set_mark, set_status, update_example
from datasets_app.services.curation.importing import ImportOptions, ImportResult, import_file
from datasets_app.services.curation.manager import DatasetManager
from datasets_app.services.curation.staging import apply_batch, discard_batch, stage_file
from datasets_app.services.versioning.refs import create_branch
from goldenproject.kit.errors import BadInput, Conflict

pytestmark = pytest.mark.django_db

GOOD = b'{"id": "g1", "input": {"text": "good"}, "output": {"label": "a"}}\n'


@pytest.fixture
def manager() -> DatasetManager:
    return DatasetManager.create("words", type="text_classification")


def load(manager: DatasetManager, data: bytes, name: str = "rows.jsonl", **options: object) -> ImportResult:
    file = BytesIO(data)
    file.name = name
    return import_file(branch=manager.branch, source=file, actor=None, options=ImportOptions(**options))  # type: ignore[arg-type]


BAD_LINES = [
    (b"{", "$", "line 2"),
    (b"[1]", "$", "object"),
    (b'{"input": {"text": "x"}, "output": {"label": NaN}}', "$.output.label", "NaN"),
    (b'{"input": {"text": "x"}, "output": {"label": "a"}, "labels": {"n": 1e999}}', "$.labels.n", "1e999"),
    (
        b'{"input": {"text": "x"}, "output": {"label": "a"}, "metadata": {"n": 9007199254740993}}',
        "$.metadata.n",
        "9007199254740993",
    ),
    (b'{"input": {"text": "a\\u0000b"}, "output": {"label": "a"}}', "$.input.text", "NUL"),
    (b'{"input": {"text": "\\ud800"}, "output": {"label": "a"}}', "$.input.text", "surrogate"),
    (b'{"input": {"text": "x"}, "input": {"text": "y"}}', "$.input", "input"),
    (
        b'{"input": {"text": "x"}, "metadata": ' + b'{"a":' * 120 + b"1" + b"}" * 120 + b"}",
        "$.metadata",
        "100",
    ),
    (b'{"input": {"text": "\xff"}}', "$", "UTF-8"),
    (b'{"output": {"label": "a"}}', "$.input", "missing"),
    (b'{"input": {"text": 5}, "output": {"label": "a"}}', "$.input.text", "string"),
    (b'{"input": {"text": ""}, "output": {"label": "a"}}', "$.input.text", ""),
    (b'{"input": {"text": "x", "more": 1}, "output": {"label": "a"}}', "more", ""),
    (b'{"input": {"text": "x"}, "type": "nothing"}', "$.type", "nothing"),
    (b'{"input": {"text": "x"}, "colour": "red"}', "$.colour", "colour"),
    (b'{"id": 1.5, "input": {"text": "x"}}', "$.id", "float"),
    (b'{"id": "g1", "input": {"text": "x"}, "output": {"label": "a"}}', "$.id", "twice"),
]


@pytest.mark.parametrize(("line", "path", "word"), BAD_LINES)
def test_import__bad_line__names_file_line_and_path_and_writes_nothing(
    manager: DatasetManager, line: bytes, path: str, word: str
) -> None:
    with pytest.raises(MalformedRow) as caught:
        load(manager, GOOD + line + b"\n" + GOOD.replace(b"g1", b"g2"))
    message = caught.value.message
    assert message.startswith("rows.jsonl, line 2: "), message
    assert path in message
    assert word in message
    assert "Nothing was imported" in caught.value.hint
    assert Example.objects.count() == 0
    assert ExampleIdentity.objects.count() == 0


@pytest.mark.parametrize(("line", "path", "word"), BAD_LINES)
def test_import__skip__takes_the_good_rows(
    manager: DatasetManager, line: bytes, path: str, word: str
) -> None:
    result = load(manager, GOOD + line + b"\n" + GOOD.replace(b"g1", b"g2"), on_error="skip")
    assert (result.read, result.added, result.refused) == (3, 2, 1)
    assert result.first_refusals[0].startswith("line 2: ")


def test_import__report__writes_the_refused_rows_with_reasons(
    manager: DatasetManager, tmp_path: Path
) -> None:
    report = tmp_path / "refused.jsonl"
    bad = b'{"input": {"text": 5}, "output": {"label": "a"}}'
    result = load(manager, GOOD + bad + b"\n", on_error="report", report_path=report)
    assert (result.added, result.refused, result.report_path) == (1, 1, str(report))
    [row] = [json.loads(line) for line in report.read_text().splitlines()]
    assert row["line"] == 2
    assert row["errors"][0]["path"] == "$.input.text"
    assert json.loads(row["raw"]) == json.loads(bad)
    assert list(tmp_path.iterdir()) == [report]


def test_import__report_without_refusals__makes_no_file(manager: DatasetManager, tmp_path: Path) -> None:
    load(manager, GOOD, on_error="report", report_path=tmp_path / "refused.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_import__byte_order_mark_and_blank_lines__are_fine(manager: DatasetManager) -> None:
    result = load(manager, b"\xef\xbb\xbf" + GOOD + b"\n\r\n" + GOOD.replace(b"g1", b"g2"))
    assert (result.read, result.added) == (2, 2)


def test_import__csv_with_a_category_column__maps_it_to_the_class(manager: DatasetManager) -> None:
    result = load(manager, b'text,category\n"Hello, you",greeting\n"two\nlines",other\n', "rows.csv")
    assert result.added == 2
    rows = list(Example.objects.order_by("ordinal"))
    assert [row.input_data["text"] for row in rows] == ["Hello, you", "two\nlines"]
    assert [row.expected_output["label"] for row in rows] == ["greeting", "other"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"text,category\na,b\nonly one\n", ["line 3", "1 cells", "2 as in the header"]),
        (b"text,category\na,b\n\xff\xfe,b\n", ["line 3", "not UTF-8"]),
        (b"text,text\na,b\n", ["Line 1", "twice"]),
        (b'text,category\na,b\n"two\nlines",c\nx\n', ["line 5", "1 cells"]),
    ],
)
def test_import__bad_csv__names_the_line_where_the_row_begins(
    manager: DatasetManager, data: bytes, words: list[str]
) -> None:
    with pytest.raises(MalformedRow) as caught:
        load(manager, data, "rows.csv")
    for word in words:
        assert word in caught.value.message


def test_import__unknown_column_in_the_mapping__lists_the_columns(manager: DatasetManager) -> None:
    with pytest.raises(BadInput, match="no column “words”") as caught:
        load(manager, b"text,category\na,b\n", "rows.csv", mapping={"words": "input.text"})
    assert caught.value.hint == "Columns: text, category."


def test_import__typed_cells__follow_the_schema() -> None:
    manager = DatasetManager.create("leads", type="lead_score")
    data = (
        b"id,fit_score,engagement_score,intent_signals,lead_score,priority\nl1,75.5,80,demo; trial,90,hot\n"
    )
    load(manager, data, "leads.csv")
    row = Example.objects.get()
    assert row.input_data == {"fit_score": 75.5, "engagement_score": 80, "intent_signals": ["demo", "trial"]}
    assert row.expected_output == {"lead_score": 90, "priority": "hot"}


def test_import__number_cell_that_is_none__names_the_field() -> None:
    manager = DatasetManager.create("leads", type="lead_score")
    with pytest.raises(MalformedRow, match=r"line 2: \$\.input\.fit_score"):
        load(manager, b"fit_score,engagement_score,lead_score,priority\nmany,80,90,hot\n", "leads.csv")


def test_import__parquet__reads_nested_columns(manager: DatasetManager, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    rows = [{"id": f"p{n}", "input": {"text": f"t{n}"}, "output": {"label": "a"}} for n in range(3)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert import_file(branch=manager.branch, source=path, actor=None).added == 3


def test_import__unknown_format_or_type__says_which_are_known(manager: DatasetManager) -> None:
    with pytest.raises(BadInput, match="expected one of jsonl, json, csv, tsv, parquet"):
        load(manager, GOOD, "rows.exe")
    with pytest.raises(UnknownType, match="no example type “nothing”"):
        load(manager, GOOD, type_name="nothing")


def test_import__into_a_closed_branch__is_refused(manager: DatasetManager) -> None:
    manager.add_examples([json.loads(GOOD)])
    manager.commit("first")
    side = create_branch(dataset=manager.dataset, name="side", actor=None)
    with pytest.raises(WorktreeClosed):
        import_file(branch=side, source=BytesIO(GOOD), actor=None, options=ImportOptions(format="jsonl"))


def test_import__changed_output__goes_back_to_pending_and_keeps_marks(manager: DatasetManager) -> None:
    load(manager, GOOD)
    row = Example.objects.get()
    set_status(branch=manager.branch, uuids=[row.uuid], status="validated", actor=None)
    set_mark(branch=manager.branch, uuids=[row.uuid], name="edge_case", value=True, actor=None)
    unchanged = load(manager, GOOD)
    assert (unchanged.changed, unchanged.unchanged) == (0, 1)
    result = load(manager, GOOD.replace(b'"a"', b'"b"'))
    row.refresh_from_db()
    assert (result.changed, row.validation_status, row.labels) == (1, "pending", {"edge_case": True})


def test_import__order_of_the_file__is_kept(manager: DatasetManager) -> None:
    lines = [b'{"id": "z%d", "input": {"text": "%d"}}' % (n * 7919 % 500, n) for n in range(500)]
    load(manager, b"\n".join(lines))
    manager.commit("first")
    assert [content.input["text"] for content in manager.examples()] == [str(n) for n in range(500)]


def test_stage__preview__writes_nothing_until_applied(manager: DatasetManager) -> None:
    load(manager, GOOD)
    data = GOOD.replace(b'"a"', b'"b"') + b'{"id": "n", "input": {"text": "new"}}\n{"input": 5}\n'
    batch = stage_file(
        branch=manager.branch, file=BytesIO(data), file_name="rows.jsonl", options=ImportOptions(), actor=None
    )
    counts = (batch.rows_read, batch.rows_new, batch.rows_changed, batch.rows_unchanged, batch.rows_refused)
    assert counts == (3, 1, 1, 0, 1)
    assert Example.objects.get().expected_output == {"label": "a"}
    result = apply_batch(batch=batch, actor=None)
    assert (result.added, result.changed, result.refused) == (1, 1, 1)
    assert Example.objects.count() == 2
    with pytest.raises(Conflict, match="applied already"):
        apply_batch(batch=batch, actor=None)


def test_stage__discarded__leaves_nothing(manager: DatasetManager) -> None:
    batch = stage_file(
        branch=manager.branch, file=BytesIO(GOOD), file_name="rows.jsonl", options=ImportOptions(), actor=None
    )
    discard_batch(batch=batch, actor=None)
    assert batch.rows.count() == 0
    assert Example.objects.count() == 0


def test_stage__row_edited_since_the_preview__is_compared_as_it_is_now(manager: DatasetManager) -> None:
    load(manager, GOOD)
    batch = stage_file(
        branch=manager.branch, file=BytesIO(GOOD), file_name="rows.jsonl", options=ImportOptions(), actor=None
    )
    assert batch.rows_unchanged == 1
    update_example(example=Example.objects.get(), actor=None, expected_output={"label": "edited"})
    assert apply_batch(batch=batch, actor=None).changed == 1


def test_import__banking77_twice_without_ids__adds_its_rows_once(shared_data: Path) -> None:
    manager = DatasetManager.create("banking77", type="text_classification")
    path = shared_data / "tabular" / "banking77" / "train.csv"
    first = import_file(branch=manager.branch, source=path, actor=None)
    again = import_file(branch=manager.branch, source=path, actor=None)
    assert (first.added, first.refused) == (10_003, 0)
    assert (again.added, again.changed, again.unchanged) == (0, 0, 10_003)


def test_import__lines_named_by_uuid__are_the_examples_without_an_id(manager: DatasetManager) -> None:
    load(manager, b'{"input": {"text": "one"}, "output": {"label": "a"}}\n{"input": {"text": "two"}}\n')
    exported = b"".join(
        json.dumps({"id": str(row.uuid), "input": row.input_data, "output": row.expected_output}).encode()
        + b"\n"
        for row in Example.objects.order_by("ordinal")
    )
    batch = stage_file(
        branch=manager.branch,
        file=BytesIO(exported),
        file_name="again.jsonl",
        options=ImportOptions(),
        actor=None,
    )
    assert (batch.rows_new, batch.rows_unchanged) == (0, 2)
    again = load(manager, exported)
    assert (again.added, again.changed, again.unchanged) == (0, 0, 2)
    edited = load(manager, exported.replace(b'"a"', b'"b"'))
    assert (edited.added, edited.changed, edited.unchanged) == (0, 1, 1)
