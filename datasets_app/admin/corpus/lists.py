"""The lists of sources, chunks and test queries: what they are narrowed to, and what a line of them shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from datasets_app.admin.corpus.base import SAMPLED_ROWS, id_or_none, query_string, text_of
from datasets_app.admin.corpus.row_pages import RowOrder, RowPage, find_page
from datasets_app.models import (
    Analysis,
    Artifact,
    Chunk,
    Embedding,
    EmbeddingModel,
    ExpectedChunk,
    Finding,
    RetrievalResult,
    RetrievalRun,
    SourceCheck,
    TestQuery,
)


@dataclass(frozen=True)
class RowFilter:
    """What a list is narrowed to; empty parts do not narrow. The names are those of the address."""

    order: ClassVar[RowOrder]
    joined: ClassVar[tuple[str, ...]] = ()
    # parts that an index has in the order of the list: by them alone the rows can be read in order
    ordered: ClassVar[frozenset[str]] = frozenset({"corpus"})
    choices: ClassVar[dict[str, tuple[str, ...]]] = {}

    q: str = ""
    corpus: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, Any]) -> Self:
        """Read the parameters of an address; what is not understood is left out."""
        found = {part.name: text_of(query, part.name) for part in fields(cls)}
        for name, allowed in cls.choices.items():
            if found[name] not in allowed:
                found[name] = ""
        return cls(**found)

    @property
    def is_empty(self) -> bool:
        return self == type(self)()

    @property
    def is_narrowed(self) -> bool:
        return any(value and name not in self.ordered for name, value in asdict(self).items())

    def rows(self) -> QuerySet[Any]:
        """Return the rows that match, without an order."""
        raise NotImplementedError

    def page(self, query: Mapping[str, Any]) -> RowPage:
        """Return the page of the list that an address asks for (?after= or ?before=)."""
        return find_page(
            self.rows(),
            self.order,
            is_narrowed=self.is_narrowed,
            joined=self.joined,
            after=text_of(query, "after"),
            before=text_of(query, "before"),
        )

    def query(self, **more: Any) -> str:
        return query_string(**asdict(self), **more)


@dataclass(frozen=True)
class SourceFilter(RowFilter):
    """Sources by corpus, status, content type, kept contract, last look at the source, and any text in them."""

    order = RowOrder(("created_at", "id"), descending=True)
    joined = ("corpus", "source_check")
    ordered = frozenset({"corpus", "status"})
    choices = {
        "status": tuple(Analysis.Status.values),
        "contract": ("broken", "kept"),
        "check": (*SourceCheck.Outcome.values, "never"),
    }

    status: str = ""
    type: str = ""
    contract: str = ""
    check: str = ""

    def rows(self) -> QuerySet[Analysis]:
        found = Analysis.objects.all()
        if self.corpus:
            found = found.filter(corpus__name=self.corpus)
        if self.status:
            found = found.filter(status=self.status)
        if self.type:
            found = found.filter(content_type=self.type)
        if self.contract:
            kept = Q(url_violation="")
            found = found.filter(kept if self.contract == "kept" else ~kept)
        if self.check == "never":
            found = found.filter(source_check=None)
        elif self.check:
            found = found.filter(source_check__outcome=self.check)
        return found.filter(_in_source(self.q)) if self.q else found


def _in_source(text: str) -> Any:
    """The text is in the URL, a finding, a chunk or the artifact of a source, or is its id."""
    here = {"analysis": OuterRef("pk")}
    in_chunk = Q(content__icontains=text) | Q(section_title__icontains=text) | Q(section_path__icontains=text)
    return (
        Q(url__icontains=text)
        | Q(pk=id_or_none(text))
        | Exists(Finding.objects.filter(content__icontains=text, **here))
        | Exists(Chunk.objects.filter(in_chunk, **here))
        | Exists(Artifact.objects.filter(summary__icontains=text, **here))
    )


@dataclass(frozen=True)
class ChunkFilter(RowFilter):
    """Chunks by corpus, content type, whether the current model has embedded them, and any text in them."""

    order = RowOrder(("analysis", "chunk_index"))
    joined = ("analysis__corpus",)
    choices = {"embedded": ("yes", "no"), "expected": ("yes", "no")}

    type: str = ""
    embedded: str = ""
    expected: str = ""

    def rows(self) -> QuerySet[Chunk]:
        found = Chunk.objects.all()
        if self.corpus:
            found = found.filter(analysis__corpus__name=self.corpus)
        if self.type:
            found = found.filter(content_type=self.type)
        if self.embedded:
            has_vector = embedded_by(EmbeddingModel.objects.filter(is_current=True).first())
            found = found.filter(has_vector if self.embedded == "yes" else ~has_vector)
        if self.expected:
            is_expected = Exists(ExpectedChunk.objects.filter(chunk=OuterRef("pk")))
            found = found.filter(is_expected if self.expected == "yes" else ~is_expected)
        return found.filter(_in_chunk(self.q)) if self.q else found


def _in_chunk(text: str) -> Q:
    return (
        Q(section_title__icontains=text)
        | Q(section_path__icontains=text)
        | Q(content__icontains=text)
        | Q(pk=id_or_none(text))
    )


def embedded_by(model: EmbeddingModel | None) -> Exists:
    """The condition that a chunk has its vector under a model; never met without one."""
    if model is None:
        return Exists(Embedding.objects.none())
    return Exists(Embedding.objects.filter(model_id=model.pk, content_hash=OuterRef("content_hash")))


@dataclass(frozen=True)
class QueryFilter(RowFilter):
    """Test queries by corpus, tag, difficulty, category, result of the last run, and their text."""

    order = RowOrder(("created_at", "id"), descending=True)
    joined = ("corpus",)
    choices = {
        "difficulty": tuple(TestQuery.Difficulty.values),
        "result": ("passed", "failed", "not_run", "nothing_expected"),
    }

    tag: str = ""
    difficulty: str = ""
    category: str = ""
    result: str = ""

    def rows(self) -> QuerySet[TestQuery]:
        found = TestQuery.objects.all()
        if self.corpus:
            found = found.filter(corpus__name=self.corpus)
        if self.tag:
            found = found.filter(tags__contains=[self.tag])
        if self.difficulty:
            found = found.filter(difficulty=self.difficulty)
        if self.category:
            found = found.filter(category=self.category)
        if self.result:
            found = found.filter(_with_result(self.result))
        if self.q:
            found = found.filter(
                Q(text__icontains=self.q)
                | Q(external_id=self.q)
                | Q(pk=id_or_none(self.q))
                | Q(tags__contains=[self.q])
            )
        return found


def _with_result(result: str) -> Any:
    if result == "nothing_expected":
        return ~Exists(ExpectedChunk.objects.filter(query=OuterRef("pk")))
    of_query = RetrievalResult.objects.filter(run_id__in=last_runs(), query_id=OuterRef("pk"))
    if result == "not_run":
        return ~Exists(of_query)
    return Exists(of_query.filter(passed=result == "passed"))


def last_runs() -> list[int]:
    """Return the id of the newest run of each corpus."""
    newest = RetrievalRun.objects.order_by("corpus_id", "-id").distinct("corpus_id")
    return list(newest.values_list("pk", flat=True))


# --- what is counted for the rows of one page ---------------------------------------------------------------------
def counts_by(queryset: QuerySet[Any], key: str, ids: Iterable[Any]) -> dict[Any, int]:
    """Return how many rows of `queryset` each id has under `key`."""
    rows = queryset.filter(**{f"{key}__in": list(ids)}).order_by().values_list(key).annotate(n=Count("pk"))
    return dict(rows)


def passed_in_last_run(ids: Iterable[Any]) -> dict[Any, bool]:
    """Return for each query of the newest runs whether it passed."""
    found = RetrievalResult.objects.filter(run_id__in=last_runs(), query_id__in=list(ids))
    return dict(found.values_list("query_id", "passed"))


def embedded_among(chunks: Iterable[Chunk], model: EmbeddingModel | None) -> set[Any]:
    """Return the ids of those chunks that have their vector under a model."""
    if model is None:
        return set()
    hashes = {chunk.pk: bytes(chunk.content_hash) for chunk in chunks}
    there = Embedding.objects.filter(model_id=model.pk, content_hash__in=list(hashes.values()))
    known = {bytes(one) for one in there.values_list("content_hash", flat=True)}
    return {pk for pk, one in hashes.items() if one in known}


def suggested(queryset: QuerySet[Any], field: str) -> list[str]:
    """Return values of a field to choose from: those of the first rows; there may be others."""
    sample = queryset.order_by()[:SAMPLED_ROWS].values_list(field, flat=True)
    return sorted({value for value in sample if value})[:100]


def suggested_tags() -> list[str]:
    sample = TestQuery.objects.order_by()[:SAMPLED_ROWS].values_list("tags", flat=True)
    return sorted({tag for tags in sample for tag in tags})[:200]
