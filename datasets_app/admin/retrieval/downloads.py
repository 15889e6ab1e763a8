"""A run's results as a file: JSON with everything, CSV with a line a query that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse

from datasets_app.admin.corpus.base import text_of
from datasets_app.admin.retrieval.frame import RetrievalPage
from datasets_app.admin.retrieval.run_figures import run_of
from datasets_app.domain.retrieval.metrics import SHARE_PASSED, in_reading_order
from datasets_app.models import RetrievalResult, RetrievalRun
from datasets_app.services.evaluation.stored_runs import run_document
from goldenproject.kit.errors import BadInput

_ROWS_A_READ = 1000
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")
_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


class RunDownload(RetrievalPage):
    """?as=csv or json."""

    write_action = None
    http_method_names = ["get", "head", "options"]
    run: RetrievalRun

    def load(self, **kwargs: Any) -> None:
        self.run = run_of(kwargs["object_id"])
        self.format = text_of(self.request.GET, "as") or "json"
        if self.format not in _TYPES:
            raise BadInput(f"Download: found “{self.format[:20]}”, expected csv or json.")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        lines = _csv(self.run) if self.format == "csv" else _json(self.run)
        response = StreamingHttpResponse(lines, content_type=_TYPES[self.format])
        response["Content-Disposition"] = f'attachment; filename="run-{self.run.pk}.{self.format}"'
        response["X-Content-Type-Options"] = "nosniff"
        return response


def safe_cell(text: str) -> str:
    """Return a text that a spreadsheet shows and does not compute: an apostrophe before what begins a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


def _results(run: RetrievalRun) -> Iterator[RetrievalResult]:
    return RetrievalResult.objects.filter(run=run).order_by("query_id").iterator(chunk_size=_ROWS_A_READ)


class _Line:
    """Takes what a csv.writer writes and gives it back at once."""

    def write(self, line: str) -> bytes:
        return line.encode()


def _csv(run: RetrievalRun) -> Iterator[bytes]:
    names = [name for name in in_reading_order(run.metrics) if name != SHARE_PASSED and "." not in name]
    writer = csv.writer(_Line())
    yield writer.writerow(["query", "text", "passed", *names, "expected", "ranks", "found"])  # type: ignore[misc]
    for result in _results(run):
        yield writer.writerow(  # type: ignore[misc]
            [
                result.query_id,
                safe_cell(result.text),
                "yes" if result.passed else "no",
                *(result.metrics.get(name, "") for name in names),
                " ".join(chunk for chunk, _, _ in result.expected),
                " ".join("none" if rank is None else str(rank) for _, _, rank in result.expected),
                " ".join(chunk for chunk, _ in result.found),
            ]
        )


def _json(run: RetrievalRun) -> Iterator[bytes]:
    head = orjson.dumps(run_document(run))
    yield head[:-1] + b',"results":['
    for number, result in enumerate(_results(run)):
        document = {
            "query": str(result.query_id),
            "text": result.text,
            "passed": result.passed,
            "metrics": result.metrics,
            "expected": [
                {"chunk": chunk, "relevance": relevance, "rank": rank}
                for chunk, relevance, rank in result.expected
            ],
            "found": [{"chunk": chunk, "score": score} for chunk, score in result.found],
        }
        yield (b",\n" if number else b"\n") + orjson.dumps(document)
    yield b"\n]}\n"
