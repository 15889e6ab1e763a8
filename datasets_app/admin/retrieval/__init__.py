"""The pages about retrieval: search, evaluations, embedding models."""

from datasets_app.admin.retrieval.search import search_urls
from datasets_app.admin.retrieval.site import EmbeddingModelAdmin, RetrievalRunAdmin
from datasets_app.models import EmbeddingModel, RetrievalRun

RETRIEVAL_ADMINS = ((RetrievalRun, RetrievalRunAdmin), (EmbeddingModel, EmbeddingModelAdmin))

__all__ = ["RETRIEVAL_ADMINS", "search_urls"]
