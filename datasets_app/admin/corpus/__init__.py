"""The pages of the source corpus: corpora, sources, chunks, test queries."""

from datasets_app.admin.corpus.corpora import CorporaAdmin
from datasets_app.admin.corpus.site import AnalysisAdmin, ChunkAdmin, TestQueryAdmin
from datasets_app.models import Analysis, Chunk, Corpus, TestQuery

CORPUS_ADMINS = (
    (Corpus, CorporaAdmin),
    (Analysis, AnalysisAdmin),
    (Chunk, ChunkAdmin),
    (TestQuery, TestQueryAdmin),
)

__all__ = ["CORPUS_ADMINS"]
