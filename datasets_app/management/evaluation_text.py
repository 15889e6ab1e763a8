"""How an evaluation is shown in a terminal: figures, comparison, failing queries, and the line that ends it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from datasets_app.domain.retrieval.metrics import SHARE_PASSED, in_reading_order
from datasets_app.management.dataset_command import count, line
from datasets_app.models import RetrievalRun
from datasets_app.services.evaluation.comparing import Flip, RunComparison
from datasets_app.services.evaluation.failing import FailingQuery
from datasets_app.services.evaluation.gates import GateFailure

_FLIPS_SHOWN = 20
_FOUND_SHOWN = 5
_TEXT_WIDTH = 100


def figures(run: RetrievalRun) -> list[Text]:
    """Return the metrics with their intervals, then those of each group."""
    rows = [line((f"{'metric':<18}{'mean':>8}   95 % interval", "bold"))]
    for name in in_reading_order(run.metrics):
        metric = run.metrics[name]
        rows.append(line(f"{name:<18}{metric['mean']:>8.4f}   {metric['low']:.4f} to {metric['high']:.4f}"))
    if run.groups:
        shown = f"ndcg@{run.k}"
        rows += [line(), line((f"{'group':<36}{'queries':>9}{'pass rate':>11}{shown:>10}", "bold"))]
    for group in run.groups:
        name = f"{group['by']} {group['value']}"[:35]
        metrics = group["metrics"]
        rows.append(
            line(f"{name:<36}{group['n']:>9,}{metrics[SHARE_PASSED]:>11.1%}{metrics[f'ndcg@{run.k}']:>10.4f}")
        )
    return [*rows, line()]


def comparison_lines(comparison: RunComparison) -> list[Text]:
    """Return what differs between two runs, why they may not compare, and the queries that flipped."""
    base, other = comparison.base.pk, comparison.other.pk
    title = f"Run {other} against run {base}, {count(comparison.common, 'common query', 'common queries')}"
    rows = [line((title, "bold"))]
    rows += [line((f"Not fully comparable: {reason}", "yellow")) for reason in comparison.not_comparable]
    before, after = (n / comparison.common for n in (comparison.base_passed, comparison.other_passed))
    rows.append(
        line(
            f"{SHARE_PASSED:<18}{before:.4f} → {after:.4f}  {after - before:+.4f}  p {comparison.pass_p:.3g}  "
            f"(lost {len(comparison.lost):,}, won {len(comparison.won):,})"
        )
    )
    for metric in comparison.metrics:
        change = metric.difference
        rows.append(
            line(
                f"{metric.name:<18}{metric.base:.4f} → {metric.other:.4f}  {change.mean:+.4f}  p {metric.p:.3g}  "
                f"({change.low:+.4f} to {change.high:+.4f})"
            )
        )
    return [*rows, *_flips("-", "red", comparison.lost), *_flips("+", "green", comparison.won), line()]


def _flips(sign: str, style: str, flips: Sequence[Flip]) -> list[Text]:
    rows = [line((f"{sign} {flip.text[:_TEXT_WIDTH]}", style)) for flip in flips[:_FLIPS_SHOWN]]
    left = len(flips) - _FLIPS_SHOWN
    return rows + ([line((f"… and {left:,} more (--json has all)", "dim"))] if left > 0 else [])


def failing_lines(failing: Sequence[FailingQuery]) -> list[Text]:
    """Return each failing query with its expected chunks and what was found instead."""
    rows = []
    for query in failing:
        rows.append(line((f"✗ {query.text[:_TEXT_WIDTH]}", "red"), (f"  {query.query_id}", "dim")))
        for expected in query.expected:
            rank = f"rank {expected.rank}" if expected.rank else "not found"
            rows.append(
                line(f"    expected  {rank:<11}{expected.chunk.title}  ", (expected.chunk.url, "dim"))
            )
        for found in query.found[:_FOUND_SHOWN]:
            rows.append(
                line(
                    f"    found {found.rank:>3}  {found.score:<11.5g}{found.chunk.title}  ",
                    (found.chunk.url, "dim"),
                )
            )
    return [*rows, line()] if rows else []


def last_line(run: RetrievalRun, failures: Sequence[GateFailure], *, gated: bool) -> Text:
    """Return the line that says passed or failed, and the figures that people ask for first."""
    word, style = ("failed", "bold red") if failures else ("passed" if gated else "done", "bold green")
    share = run.metrics[SHARE_PASSED]
    return line(
        (f"Evaluation {word}", style),
        f": {run.passed_count:,} of {run.query_count:,} queries ({share['mean'] * 100:.1f} %, 95 % interval "
        f"{share['low'] * 100:.1f} to {share['high'] * 100:.1f} %), nDCG@{run.k} {run.metrics[f'ndcg@{run.k}']['mean']:.4f}, "
        f"MRR {run.metrics['mrr']['mean']:.4f}; run {run.pk}, {run.seconds:.1f} s, "
        f"{run.query_count / max(run.seconds, 1e-9):,.0f} queries/s.",
    )
