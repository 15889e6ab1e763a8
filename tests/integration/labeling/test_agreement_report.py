"""What a queue reports of the agreement of its labelers, and the page that shows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from datasets_app.models import AuditEvent, ExampleType, JobRun
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type
from goldenproject.kit.errors import Forbidden
from labeling_app.models import Label, LabelingQueue
from labeling_app.services.agreement import FieldAgreement, agreement_report
from labeling_app.services.consensus_report import consensus_of
from labeling_app.services.fresh_figures import fresh_figures, kept_figures
from labeling_app.services.queues import QueueOptions, create_queue
from labeling_app.services.ratings import ratings_of
from tests.integration.labeling.rated_queue import gold, rate

MakeQueue = Callable[..., LabelingQueue]
MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


def label(name: str) -> dict[str, str]:
    return {"label": name}


def read_again(queue: LabelingQueue) -> LabelingQueue:
    return LabelingQueue.objects.select_related("dataset", "example_type").get(pk=queue.pk)


@pytest.fixture
def companies(db: None) -> LabelingQueue:
    """A queue over six companies: a rating of A to D and whether they match."""
    dataset = create_dataset(name="companies", actor=None, default_type=get_type("company_quality"))
    rows = [{"id": f"c{n}", "input": {"company_name": f"company {n}"}} for n in range(1, 7)]
    bulk_upsert(branch=dataset.main, documents=rows, actor=None)
    return create_queue(dataset=dataset, name="companies", actor=None, options=QueueOptions(overlap=2))


def field(queue: LabelingQueue, name: str, **options: Any) -> FieldAgreement:
    (found,) = [one for one in agreement_report(queue, **options).fields if one.name == name]
    return found


# --- reading labels -------------------------------------------------------------------------------------------------
def test_ratings_of__labels_of_two__are_columns_with_answers_and_weeks(queue_factory: MakeQueue) -> None:
    queue = queue_factory(overlap=2)
    items = rate(queue, {"t1": {"x": label("a"), "y": label("b")}}, at=MONDAY - timedelta(hours=10))
    rate(queue, {"t2": {"x": label("b")}}, at=MONDAY)

    ratings = ratings_of(queue)
    rows = [
        (ratings.item_ids[unit], ratings.table.rater_names[rater], ratings.answers[value], week)
        for unit, rater, value, week in zip(
            ratings.table.units, ratings.table.raters, ratings.table.values, ratings.weeks, strict=True
        )
    ]

    monday = ((MONDAY.date() - date(1969, 12, 29)).days) // 7
    assert sorted(rows, key=str) == sorted(
        [
            (items["t1"], "x", label("a"), monday - 1),
            (items["t1"], "y", label("b"), monday - 1),
            (items["t2"], "x", label("b"), monday),
        ],
        key=str,
    )


def test_ratings_of__times_and_labelers__leaves_the_others_out(queue_factory: MakeQueue) -> None:
    queue = queue_factory(overlap=2)
    rate(queue, {"t1": {"x": label("a"), "y": label("b")}}, at=MONDAY)
    rate(queue, {"t2": {"x": label("b"), "y": label("b")}}, at=MONDAY + timedelta(days=7))

    assert len(ratings_of(queue).table) == 4
    assert len(ratings_of(queue, since=MONDAY + timedelta(days=1)).table) == 2
    assert len(ratings_of(queue, until=MONDAY + timedelta(days=1), labelers=["y"]).table) == 1
    assert len(ratings_of(queue, labelers=[]).table) == 0


def test_ratings_of__the_same_answer_written_otherwise__is_one_value(companies: LabelingQueue) -> None:
    rate(
        companies,
        {
            "c1": {
                "x": {"quality_rating": "A", "icp_match": True},
                "y": {"icp_match": True, "quality_rating": "A"},
            }
        },
    )

    assert len(ratings_of(companies).answers) == 1


# --- the report -----------------------------------------------------------------------------------------------------
def test_agreement_report__two_units__has_the_figures_derived_by_hand(queue_factory: MakeQueue) -> None:
    queue = queue_factory(overlap=2)
    rate(queue, {"t1": {"x": label("a"), "y": label("a")}, "t2": {"x": label("a"), "y": label("b")}})
    rate(queue, {"t3": {"x": label("b")}})

    report = agreement_report(queue)
    found = report.fields[0]

    # see tests/unit/labeling/test_agreement.py; t3 has one label: it counts for the frequencies of kappa alone
    assert (report.labels, report.items, report.compared, report.labelers) == (5, 3, 2, 2)
    assert (found.name, found.kind, found.level) == ("label", "class", "nominal")
    assert found.percent.value == 0.5
    assert found.alpha.value == pytest.approx(0.0)
    assert found.verdict.word == "unreliable"
    assert found.fleiss is not None
    # frequencies (1 + .5 + 0) / 3 and the rest: chance 1/4 + 1/4; (1/2 − 1/2) / (1/2)
    assert found.fleiss.value == pytest.approx(0.0)
    (pair,) = found.pairs
    assert (pair.first, pair.second, pair.units, pair.share) == ("x", "y", 2, 0.5)
    # x always a; y a and b: by chance 1/2, as often as they agree
    assert pair.coefficient.value == pytest.approx(0.0)
    assert [(one.rater, one.ratings, one.units, one.share.value) for one in found.labelers] == [
        ("x", 3, 2, 0.5),
        ("y", 2, 2, 0.5),
    ]
    assert found.classes == ("a", "b")
    # unit one: a with a twice; unit two: a with b and b with a
    assert found.matrix == ((2.0, 1.0), (1.0, 0.0))
    assert [(one.first, one.second, one.count, one.share) for one in found.confusions] == [
        ("a", "b", 1.0, 1.0)
    ]


def test_agreement_report__several_fields__measures_each_by_its_schema(companies: LabelingQueue) -> None:
    answers = {"quality_rating": "A", "icp_match": True}
    rate(
        companies,
        {
            "c1": {"x": answers, "y": {**answers, "reasoning": "large"}},
            "c2": {
                "x": {"quality_rating": "B", "icp_match": True},
                "y": {"quality_rating": "B", "icp_match": False},
            },
        },
    )

    report = agreement_report(companies)
    by_name = {one.name: one for one in report.fields}

    assert by_name["quality_rating"].alpha.value == 1.0
    assert by_name["quality_rating"].verdict.word == "reliable"
    assert by_name["icp_match"].percent.value == 0.5
    assert by_name["icp_match"].classes == ("yes", "no")
    assert by_name["reasoning"].alpha.value is None
    assert by_name["reasoning"].verdict.word == "not measured"


def test_agreement_report__numbers__has_all_levels_and_who_leans_where(db: None) -> None:
    dataset = create_dataset(name="leads", actor=None, default_type=get_type("lead_score"))
    rows = [{"id": f"l{n}", "input": {"fit_score": 1, "engagement_score": n}} for n in range(1, 4)]
    bulk_upsert(branch=dataset.main, documents=rows, actor=None)
    queue = create_queue(
        dataset=dataset, name="scores", actor=None, options=QueueOptions(overlap=2, field_path="lead_score")
    )
    rate(queue, {"l1": {"x": 1, "y": 1}, "l2": {"x": 3, "y": 3}, "l3": {"x": 1, "y": 2}})

    (found,) = agreement_report(queue).fields

    # the table of three units of tests/unit/labeling/test_agreement.py
    assert (found.kind, found.level) == ("number", "interval")
    assert found.alpha.value == pytest.approx(24 / 29)
    assert found.alphas["ordinal"].value == pytest.approx(7 / 9)
    assert found.alphas["ratio"].value == pytest.approx(1 - 2250 / (27 * 287))
    assert found.fleiss is None
    (pair,) = found.pairs
    assert pair.coefficient.value == pytest.approx(24 / 29)
    assert [one.rater for one in found.labelers] == ["x", "y"]
    assert [one.deviation for one in found.labelers] == pytest.approx([1 / 3, 1 / 3])
    assert [one.bias for one in found.labelers] == pytest.approx([-1 / 3, 1 / 3])


def test_agreement_report__labels_of_two_weeks__has_both(queue_factory: MakeQueue) -> None:
    queue = queue_factory(overlap=2)
    rate(
        queue, {"t1": {"x": label("a"), "y": label("a")}, "t2": {"x": label("b"), "y": label("b")}}, at=MONDAY
    )
    rate(
        queue,
        {"t3": {"x": label("a"), "y": label("b")}, "t4": {"x": label("b"), "y": label("a")}},
        at=MONDAY + timedelta(days=9),
    )

    weeks = field(queue, "label").weeks

    assert [(week.monday, week.labels) for week in weeks] == [(date(2026, 3, 2), 4), (date(2026, 3, 9), 4)]
    assert weeks[0].alpha.value == 1.0
    assert weeks[1].alpha.value is not None
    assert weeks[1].alpha.value < 0
    assert [week.monday for week in field(queue, "label", until=MONDAY + timedelta(days=1)).weeks] == [
        date(2026, 3, 2)
    ]


def test_agreement_report__no_labels__says_what_is_missing(queue_factory: MakeQueue) -> None:
    report = agreement_report(queue_factory())

    assert (report.labels, report.items, report.labelers) == (0, 0, 0)
    assert report.fields[0].alpha.why_none.startswith("No example has answers of two")


def test_agreement_report__many_labels__is_one_query(
    queue_factory: MakeQueue, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    queue = queue_factory(overlap=3)
    rate(queue, {f"t{n}": {"x": label("a"), "y": label("ab"[n % 2]), "z": label("b")} for n in range(1, 11)})
    queue = read_again(queue)

    with django_assert_max_num_queries(4):  # the read and its setting, in a savepoint
        agreement_report(queue)


def test_agreement_report__a_labeler__may_not(queue_factory: MakeQueue, labelers: list[Any]) -> None:
    with pytest.raises(Forbidden):
        agreement_report(queue_factory(), actor=labelers[0])


def test_document__of_a_report__is_plain_json(companies: LabelingQueue) -> None:
    rate(companies, {"c1": {"x": {"quality_rating": "A"}, "y": {"quality_rating": "B"}}})

    document = agreement_report(companies).document()

    assert json.loads(json.dumps(document))["fields"][0]["percent"]["value"] == 0.0


def test_fresh_figures__nothing_happened__are_kept_until_something_does(queue_factory: MakeQueue) -> None:
    queue = queue_factory(overlap=2)
    rate(queue, {"t1": {"x": label("a")}})
    computed: list[int] = []

    def compute() -> int:
        computed.append(1)
        return len(computed)

    assert kept_figures(queue, "n") is None
    assert [fresh_figures(queue, "n", compute), fresh_figures(queue, "n", compute)] == [1, 1]
    assert kept_figures(queue, "n") == 1
    rate(queue, {"t1": {"y": label("a")}})
    assert kept_figures(queue, "n") is None
    assert fresh_figures(queue, "n", compute) == 2


# --- the page -------------------------------------------------------------------------------------------------------
@pytest.fixture
def rated(queue_factory: MakeQueue) -> LabelingQueue:
    queue = queue_factory(overlap=2)
    rate(queue, {f"t{n}": {"x": label("ab"[n % 2]), "y": label("ab"[n % 3 % 2])} for n in range(1, 11)})
    gold(queue, {"t1": label("b")})
    return queue


def page(client: Client, queue: LabelingQueue, part: str = "", query: str = "") -> str:
    response = client.get(f"/admin/label/{queue.pk}/agreement/{part}{query}")
    assert response.status_code == 200
    return response.content.decode()


def test_page__first_time__loads_its_figures_after_itself_then_has_them(
    client_of: Callable[[str], Client], rated: LabelingQueue
) -> None:
    client = client_of("reviewer")

    first = page(client, rated)
    assert f'hx-get="/admin/label/{rated.pk}/agreement/figures/"' in first
    figures = page(client, rated, "figures/")
    assert "Krippendorff" in figures
    assert f'hx-get="/admin/label/{rated.pk}/agreement/method/"' in figures
    method = page(client, rated, "method/")
    assert "1 gold example with labels is too few" in method
    second = page(client, rated)
    assert 'hx-trigger="load"' not in second
    assert "Landis and Koch" in second


def test_page__no_labels__says_what_will_be_there(
    client_of: Callable[[str], Client], queue_factory: MakeQueue
) -> None:
    assert "No labels yet" in page(client_of("reviewer"), queue_factory())


def test_page__a_field_of_the_address__is_shown(
    client_of: Callable[[str], Client], companies: LabelingQueue
) -> None:
    rate(companies, {"c1": {"x": {"quality_rating": "A", "icp_match": True}, "y": {"quality_rating": "A"}}})
    client = client_of("reviewer")

    assert "Matches the ideal customer profile</span>" in page(
        client, companies, "figures/", "?field=icp_match"
    )
    assert "Quality rating</span>" in page(client, companies, "figures/", "?field=nothing")


def test_post__a_method_by_a_curator__is_the_queues_from_now_on(
    client_of: Callable[[str], Client], rated: LabelingQueue
) -> None:
    response = client_of("curator").post(f"/admin/label/{rated.pk}/agreement/", {"method": "dawid_skene"})

    assert response.status_code == 302
    assert read_again(rated).consensus_method == "dawid_skene"
    assert AuditEvent.objects.filter(action="labels.queue_update", actor_name="a-curator").exists()


def test_post__a_method_by_a_reviewer__is_refused(
    client_of: Callable[[str], Client], rated: LabelingQueue
) -> None:
    client_of("reviewer").post(f"/admin/label/{rated.pk}/agreement/", {"method": "dawid_skene"})

    assert read_again(rated).consensus_method == "majority"


def test_post__an_unknown_method__changes_nothing(
    client_of: Callable[[str], Client], rated: LabelingQueue
) -> None:
    client_of("curator").post(f"/admin/label/{rated.pk}/agreement/", {"method": "oracle"})

    assert read_again(rated).consensus_method == "majority"


def test_post__work_out_anew_by_a_reviewer__starts_the_job(
    client_of: Callable[[str], Client], rated: LabelingQueue
) -> None:
    response = client_of("reviewer").post(f"/admin/label/{rated.pk}/agreement/", {"do": "recompute"})

    job = JobRun.objects.get(kind="label_consensus")
    assert response.status_code == 302
    assert str(job.pk) in response["Location"]


def test_page__names_of_people_and_classes__are_escaped(
    client_of: Callable[[str], Client], queue_factory: MakeQueue
) -> None:
    queue = queue_factory(overlap=2)
    bad = "<script>alert(1)</script>"
    rate(queue, {"t1": {bad: label(bad), "y": label("b")}, "t2": {bad: label("b"), "y": label(bad)}})
    assert Label.objects.filter(annotator=bad).exists()

    found = page(client_of("reviewer"), queue, "figures/")

    assert bad not in found
    assert "&lt;script&gt;" in found


# --- levels of measurement from the schema --------------------------------------------------------------------------
def test_agreement_report__an_ordered_enumeration__is_measured_by_ranks(db: None) -> None:
    kind = ExampleType.objects.create(
        name="mood",
        title="Mood",
        input_schema={"type": "object", "properties": {"text": {"type": "string"}}},
        output_schema={
            "type": "object",
            "properties": {"mood": {"enum": ["bad", "so-so", "good"], "x-scale": "ordinal"}},
        },
        class_field="mood",
    )
    dataset = create_dataset(name="moods", actor=None, default_type=kind)
    bulk_upsert(
        branch=dataset.main,
        documents=[{"id": f"m{n}", "input": {"text": f"text {n}"}} for n in range(1, 4)],
        actor=None,
    )
    queue = create_queue(dataset=dataset, name="moods", actor=None, options=QueueOptions(overlap=2))
    answers = {"m1": ("bad", "bad"), "m2": ("good", "good"), "m3": ("bad", "so-so")}
    rate(queue, {name: {"x": {"mood": a}, "y": {"mood": b}} for name, (a, b) in answers.items()})

    (found,) = agreement_report(queue).fields

    # the table of three units with bad, so-so, good for 1, 2, 3
    assert (found.kind, found.level) == ("class", "ordinal")
    assert found.alpha.value == pytest.approx(7 / 9)
    assert found.alphas["interval"].value == pytest.approx(24 / 29)
    assert found.classes == ("bad", "so-so", "good")
    assert found.fleiss is not None


def test_agreement_report__a_nested_field_that_some_leave_out__compares_those_who_gave_it(
    companies: LabelingQueue,
) -> None:
    rate(
        companies,
        {
            "c1": {"x": {"quality_rating": "A", "icp_match": True}, "y": {"quality_rating": "A"}},
            "c2": {
                "x": {"quality_rating": "A", "icp_match": True},
                "y": {"quality_rating": "B", "icp_match": True},
            },
        },
    )

    assert field(companies, "icp_match").percent.units == 1
    assert field(companies, "quality_rating").percent.units == 2


def test_page__crowdlab_without_a_model__says_what_it_needs(
    client_of: Callable[[str], Client], rated: LabelingQueue
) -> None:
    client = client_of("reviewer")

    assert "Not tried" in page(client, rated, "method/")
    tried = page(client, rated, "method/", "?crowdlab=1")

    assert "Not tried" not in tried
    assert "embedding model" in tried or "have a vector" in tried


def test_agreement_report__a_choice_of_several__counts_in_any_order(db: None) -> None:
    marks = {"type": "array", "items": {"enum": ["urgent", "refund"]}}
    kind = ExampleType.objects.create(
        name="marks",
        title="Marks",
        input_schema={"type": "object", "properties": {"text": {"type": "string"}}},
        output_schema={"type": "object", "properties": {"marks": marks}},
    )
    dataset = create_dataset(name="marks", actor=None, default_type=kind)
    rows = [{"id": f"m{n}", "input": {"text": f"text {n}"}} for n in range(1, 4)]
    bulk_upsert(branch=dataset.main, documents=rows, actor=None)
    queue = create_queue(dataset=dataset, name="marks", actor=None, options=QueueOptions(overlap=2))
    both, turned = {"marks": ["urgent", "refund"]}, {"marks": ["refund", "urgent"]}
    items = rate(queue, {"m1": {"x": both, "y": turned}, "m2": {"x": {"marks": []}, "y": {"marks": []}}})

    (found,) = agreement_report(queue).fields

    assert found.alpha.value == 1.0
    assert found.classes == ("urgent + refund", "none of them")
    assert consensus_of(queue=queue, item_ids=[items["m1"]])[items["m1"]].agreement == 1.0
