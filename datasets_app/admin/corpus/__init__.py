"""The pages of the source corpus: sources, chunks, test queries."""

from datasets_app.admin.corpus.site import AnalysisAdmin, ChunkAdmin, TestQueryAdmin
from datasets_app.models import Analysis, Chunk, TestQuery

CORPUS_ADMINS = ((Analysis, AnalysisAdmin), (Chunk, ChunkAdmin), (TestQuery, TestQueryAdmin))

__all__ = ["CORPUS_ADMINS"]
