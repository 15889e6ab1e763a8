"""A small corpus of true sentences, whose test queries find what they expect."""

from __future__ import annotations

from datasets_app.services.corpus.analyses import save_analyses
from datasets_app.services.corpus.corpora import get_corpus
from datasets_app.services.corpus.drafts import (
    AnalysisDraft,
    ArtifactDraft,
    ChunkDraft,
    FindingDraft,
    QueryDraft,
)
from datasets_app.services.corpus.queries import save_query
from tests.integration.corpus_data import make_id

TEXTS = {
    "json": ("Encode a Python object as JSON text.", "Decode a JSON document that may hold NaN."),
    "csv": ("Read rows of comma separated values.", "Write rows with the dialect of a spreadsheet."),
    "zlib": ("Compress bytes with deflate.", "Compute a checksum called Adler."),
    "heapq": ("Push an item on a priority queue.", "Merge several sorted inputs lazily."),
}
QUESTIONS = {
    "how to turn an object into JSON": "json",
    "read comma separated rows": "csv",
    "deflate compression of bytes": "zlib",
    "a priority queue": "heapq",
}


def make_asked_corpus() -> None:
    """Make four analyses of two chunks each, and a test query for each analysis."""
    corpus = get_corpus()
    save_analyses(
        corpus=corpus, drafts=[analysis(name, chunks) for name, chunks in TEXTS.items()], actor=None
    )
    for question, name in QUESTIONS.items():
        draft = QueryDraft(text=question, expected={make_id(name, 0): 1})
        save_query(corpus=corpus, draft=draft, actor=None)


def analysis(name: str, chunks: tuple[str, ...]) -> AnalysisDraft:
    return AnalysisDraft(
        id=make_id(name),
        url=f"https://docs.python.org/3/library/{name}.html",
        content_type="documentation",
        findings=[FindingDraft("reader", "fact", f"on {name}", 0.9)],
        chunks=[
            ChunkDraft(text, section_title=name, chunk_index=n, id=make_id(name, n))
            for n, text in enumerate(chunks)
        ],
        artifact=ArtifactDraft(f"{name} in short", ["one"], {"pages": 1}, id=make_id(name, "artifact")),
    )
