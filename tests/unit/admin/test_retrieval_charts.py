"""Where the charts put numbers, derived by hand."""

from __future__ import annotations

from datasets_app.admin.retrieval.charts import TrendPoint, nice_limit, track, trend
from datasets_app.admin.retrieval.comparison import shown_p, signed
from datasets_app.admin.retrieval.downloads import safe_cell


def point(pass_rate: float, ndcg: float | None, low: float, high: float) -> TrendPoint:
    return TrendPoint("#1", "Run 1", "/1/", {"Pass rate": pass_rate, "nDCG@10": ndcg}, low, high)


def test_track__on_an_axis_with_zero_inside__places_all() -> None:
    found = track(0.05, -0.05, 0.2, -0.1, 0.1)
    assert (found.mean, found.low, found.high, found.zero) == ("75.00%", "25.00%", "100.00%", "50.00%")
    assert track(0.5, 0.25, 1.0).zero == ""


def test_nice_limit__holds_what_it_is_given() -> None:
    assert [nice_limit(values) for values in ([], [0.01, -0.03], [0.2], [-0.7])] == [0.02, 0.05, 0.2, 1.0]


def test_trend__of_two_runs__goes_from_edge_to_edge() -> None:
    found = trend([point(0.5, 0.75, 0.25, 0.75), point(1.0, 1.0, 0.75, 1.0)], ("Pass rate", "nDCG@10"))
    assert found is not None
    # the axis goes from .25 (y 162) to 1 (y 12), 50 a quarter
    assert [line.points for line in found.lines] == ["44.0,112.0 944.0,12.0", "44.0,62.0 944.0,12.0"]
    assert found.band == "44.0,62.0 944.0,12.0 944.0,62.0 44.0,162.0"
    assert found.y_ticks == [(162.0, "25%"), (112.0, "50%"), (62.0, "75%"), (12.0, "100%")]
    assert found.summary.startswith("Pass rate: 0.500 in the oldest, 1.000 in the newest of 2 runs; ")


def test_trend__of_one_run_or_without_a_metric__is_none_or_leaves_it_out() -> None:
    one = point(0.9, None, 0.8, 0.95)
    assert trend([one], ("Pass rate",)) is None
    found = trend([one, one], ("Pass rate", "nDCG@10"))
    assert found is not None
    assert (found.lines[1].points, found.lines[1].dots) == ("", [])
    assert found.summary.endswith("nDCG@10: not measured")


def test_trend__of_many_runs__names_a_few_and_the_newest() -> None:
    points = [TrendPoint(f"#{n}", f"Run {n}", "/", {"Pass rate": 0.5}) for n in range(1, 31)]
    found = trend(points, ("Pass rate",))
    assert found is not None
    assert [label for _, label in found.x_ticks] == ["#2", "#6", "#10", "#14", "#18", "#22", "#26", "#30"]


def test_signed_and_p__as_people_write_them() -> None:
    assert [signed(change) for change in (0.0312, -0.5, -0.0001, 0.0)] == [
        "+0.031",
        "−0.500",
        "0.000",
        "0.000",
    ]
    assert [shown_p(0.0004), shown_p(0.0312), shown_p(0.0312, named=True), shown_p(1.0)] == [
        "< .001",
        ".031",
        "= .031",
        "1.000",
    ]


def test_safe_cell__what_begins_a_formula__gets_an_apostrophe() -> None:
    cells = ("=1", "+1", "-1", "@x", "\t=1", " =1", "plain", "a=1", "")
    assert [safe_cell(cell) for cell in cells] == [
        "'=1",
        "'+1",
        "'-1",
        "'@x",
        "'\t=1",
        "' =1",
        "plain",
        "a=1",
        "",
    ]
