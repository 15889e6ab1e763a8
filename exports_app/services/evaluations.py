"""Evaluate the retrieval of every corpus that has test queries: the last step of a restore drill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from datasets_app.models import Corpus, ExpectedChunk
from datasets_app.services.evaluation.gates import check_gates
from datasets_app.services.evaluation.options import EvaluationOptions
from datasets_app.services.evaluation.running import evaluate

Progress = Callable[..., None]


@dataclass(frozen=True)
class CorpusEvaluation:
    """What all test queries of a corpus found. `metrics` are means, from 0 to 1; `failures` are floors not reached."""

    corpus: str
    run: int
    queries: int
    passed: int
    embedding_model: str
    metrics: dict[str, float]
    seconds: float
    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def as_text(self) -> str:
        model = self.embedding_model or "no embeddings"
        lines = [f"Evaluated {self.corpus}: {self.passed} of {self.queries} test queries passed ({model})."]
        lines += [f"Warning: {text}" for text in self.warnings]
        return "\n".join(lines + [f"Error: {text}" for text in self.failures])


def evaluate_all(
    *, actor: Any, floors: Mapping[str, float] | None = None, progress: Progress | None = None
) -> list[CorpusEvaluation]:
    """Ask all test queries of each corpus that has some with expected chunks, by the corpora's names; runs are stored.

    `floors` are the least values by metric, as `gates.parse_floors` reads them. Raises what `evaluate` raises.
    """
    asked = ExpectedChunk.objects.values("query__corpus")
    found = []
    for corpus in Corpus.objects.filter(pk__in=asked).order_by("name"):
        options = EvaluationOptions(name="after a restore")
        run = evaluate(corpus=corpus, options=options, actor=actor, progress=progress)
        failures = check_gates(run, floors) if floors else []
        found.append(
            CorpusEvaluation(
                corpus.name,
                run.pk,
                run.query_count,
                run.passed_count,
                run.embedding_model,
                {name: value["mean"] for name, value in run.metrics.items() if isinstance(value, dict)},
                round(run.seconds, 3),
                list(run.warnings),
                [failure.message for failure in failures],
            )
        )
    return found
