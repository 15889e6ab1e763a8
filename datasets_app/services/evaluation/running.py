"""Evaluating retrieval: ask every test query, judge what is found, keep the run whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg.types.json import Jsonb

from datasets_app.domain.roles import Action
from datasets_app.errors import NoCurrentModel
from datasets_app.models import Corpus, RetrievalRun
from datasets_app.services.access import record
from datasets_app.services.corpus.changing import allow
from datasets_app.services.evaluation.chosen_queries import (
    ChosenQueries,
    ChosenQuery,
    chosen_queries,
    corpus_hash,
    queries_hash,
)
from datasets_app.services.evaluation.measuring import JudgedQuery, Measurement
from datasets_app.services.evaluation.options import EvaluationOptions, QueryFilter
from datasets_app.services.retrieval.embedding_models import get_model
from datasets_app.services.retrieval.searching import SearchAnswer, SearchOptions, search_many
from goldenproject.kit.audit import acting, known_person
from goldenproject.kit.database_io import copy_rows
from goldenproject.kit.retries import retried

__all__ = ["EvaluationOptions", "QueryFilter", "evaluate", "run_of_job"]

Progress = Callable[..., None]

_BATCH: Final = 256
_COPY: Final = """
    COPY datasets_app_retrievalresult (run_id, query_id, text, passed, metrics, expected, found)
        FROM STDIN (FORMAT BINARY)
"""
_TYPES: Final = ("int8", "uuid", "text", "bool", "jsonb", "jsonb", "jsonb")


@dataclass(frozen=True)
class _Setting:
    """What was evaluated: hashes, the search as made, the queries."""

    chosen: ChosenQueries
    corpus_hash: str
    search: SearchOptions


def evaluate(
    *,
    corpus: Corpus,
    options: EvaluationOptions,
    actor: Any,
    progress: Progress | None = None,
    job: str = "",
) -> RetrievalRun:
    """Ask the test queries of `corpus` that `options` choose, and return the stored run.

    Nothing is written before all is measured, then all in one transaction: a killed evaluation leaves nothing. `job` is
    the id of the job that this is the work of, kept in the run's options. `progress(done, total)` counts queries.
    Queries without expected chunks are left out, counted and warned of. Raises Forbidden, NothingToEvaluate,
    InvalidPassRule, NotFound for unknown ids, and what the search raises.
    """
    allow(actor, Action.EDIT)
    started = time.monotonic()
    chosen = chosen_queries(corpus, options.query_filter)
    model = _model_name(options.search)
    setting = _Setting(chosen, corpus_hash(corpus), options.searched_as(chosen.deepest_rule, model))
    measurement = Measurement(options, setting.search)
    texts = [query.text for query in chosen.queries]
    answers = search_many(corpus=corpus, texts=texts, options=setting.search)
    for queries, found in _batches(chosen.queries, answers):
        measurement.add(queries, found)
        if progress:
            progress(len(measurement.judged), len(texts))
    run = RetrievalRun(
        corpus=corpus,
        name=options.name,
        created_by=known_person(actor),
        embedding_model=model if measurement.used_vectors else "",
        options={**options.document(), "searched": setting.search.document(), "job": job},
        k=options.k,
        corpus_hash=setting.corpus_hash,
        queries_hash=queries_hash(chosen.queries),
        query_count=len(texts),
        skipped_count=chosen.without_expected,
        passed_count=measurement.passed_count,
        metrics=measurement.metrics(),
        groups=measurement.groups(),
        warnings=_warnings(corpus, setting) + measurement.warnings(),
    )
    run.seconds = time.monotonic() - started
    return _store(run=run, judged=measurement.judged, actor=actor)


def run_of_job(corpus: Corpus, job: str) -> RetrievalRun | None:
    """Return the run that a job has stored already: what a job does twice must be as if done once."""
    return RetrievalRun.objects.filter(corpus=corpus, options__job=job).first() if job else None


def _batches(
    queries: Sequence[ChosenQuery], answers: Iterable[SearchAnswer]
) -> Iterator[tuple[list[ChosenQuery], list[SearchAnswer]]]:
    asked: list[ChosenQuery] = []
    found: list[SearchAnswer] = []
    for query, answer in zip(queries, answers, strict=True):
        asked.append(query)
        found.append(answer)
        if len(asked) == _BATCH:
            yield asked, found
            asked, found = [], []
    if asked:
        yield asked, found


def _model_name(search: SearchOptions) -> str:
    """Return the name of the model to search with, "" for none: then the search is lexical, and says so."""
    if "vector" not in search.legs:
        return ""
    try:
        return get_model(search.model).name
    except NoCurrentModel:
        return ""


def _warnings(corpus: Corpus, setting: _Setting) -> list[str]:
    chosen = setting.chosen
    found = []
    if chosen.without_expected:
        found.append(
            f"{chosen.without_expected:,} test queries have no expected chunk and were left out; "
            f"{len(chosen.queries):,} were asked."
        )
    if chosen.unsearched_chunks:
        found.append(
            f"{chosen.unsearched_chunks:,} expected chunks belong to analyses that are not completed, so no search finds "
            "them."
        )
    if corpus_hash(corpus) != setting.corpus_hash:
        found.append("The corpus changed while it was evaluated: queries were asked of different states.")
    return found


@retried()
def _store(*, run: RetrievalRun, judged: Sequence[JudgedQuery], actor: Any) -> RetrievalRun:
    with acting(actor, f"evaluate {run.corpus}"):
        run.pk = None
        run.save(force_insert=True)
        copy_rows(_COPY, (_row(run, result) for result in judged), _TYPES)
        record(
            actor,
            "corpus.evaluate",
            None,
            f"{run.corpus}: {run.passed_count:,} of {run.query_count:,} queries passed",
            corpus=str(run.corpus_id),
            run=run.pk,
        )
    return run


def _row(run: RetrievalRun, judged: JudgedQuery) -> tuple[Any, ...]:
    query = judged.query
    return (
        run.pk,
        query.id,
        query.text,
        judged.passed,
        Jsonb(judged.metrics, dumps=bytes),
        Jsonb(judged.expected, dumps=bytes),
        Jsonb(judged.found, dumps=bytes),
    )
