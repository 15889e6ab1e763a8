"""What retrieval derives from the corpus: vectors by embedding model, and the lexical index. Neither is golden data."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from pgvector.django import VectorField

from datasets_app.models.corpus import Corpus
from datasets_app.models.dataset import ExampleIdentity


class EmbeddingModel(models.Model):
    """A model that turns text into vectors, as this installation reaches it. No secrets: a key is named, not kept."""

    class Provider(models.TextChoices):
        MINILM = "minilm", "all-MiniLM-L6-v2, built in"
        OPENAI = "openai", "OpenAI-compatible endpoint"
        SENTENCE_TRANSFORMERS = "sentence_transformers", "sentence-transformers"

    name = models.SlugField(max_length=80, unique=True)
    provider = models.CharField(max_length=24, choices=Provider.choices)
    options = models.JSONField(
        default=dict,
        blank=True,
        help_text="Of an endpoint: base_url, model, api_key_env, batch_size, query_prefix, passage_prefix …",
    )
    dimension = models.PositiveIntegerField()
    is_current = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_current"], condition=models.Q(is_current=True), name="one_current_embedding_model"
            ),
            models.CheckConstraint(
                condition=models.Q(dimension__gte=1, dimension__lte=16000),
                name="embedding_dimension_possible",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def index_name(self) -> str:
        """Name of the HNSW index over this model's vectors."""
        return f"embedding_hnsw_{self.pk}"


class Embedding(models.Model):
    """The vector of a text under a model, found by the text's hash: whoever has the text has its vector."""

    pk = models.CompositePrimaryKey("model_id", "content_hash")
    model = models.ForeignKey(
        EmbeddingModel, on_delete=models.CASCADE, related_name="vectors", db_index=False
    )
    content_hash = models.BinaryField()
    vector = VectorField()

    def __str__(self) -> str:
        return f"{self.model_id} {bytes(self.content_hash).hex()[:12]}"


class ExampleVector(models.Model):
    """The vector of an example's input under a model; `content_hash` tells of which input (SHA-256 of its text).

    Apart from the vectors of chunks, whose index must find chunks alone.
    """

    pk = models.CompositePrimaryKey("model_id", "example_id")
    model = models.ForeignKey(
        EmbeddingModel, on_delete=models.CASCADE, related_name="example_vectors", db_index=False
    )
    example = models.ForeignKey(
        ExampleIdentity, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    content_hash = models.BinaryField()
    vector = VectorField()

    def __str__(self) -> str:
        return f"{self.model_id} {self.example_id}"

    @staticmethod
    def index_name(model: EmbeddingModel) -> str:
        """Name of the HNSW index over the vectors of examples under `model`."""
        return f"example_vector_hnsw_{model.pk}"


class LexicalSegment(models.Model):
    """A part of a corpus' lexical index: packed facts of its chunks. Written once; `deleted` alone changes."""

    corpus = models.ForeignKey(Corpus, on_delete=models.CASCADE, related_name="lexical_segments")
    created_at = models.DateTimeField(db_default=Now())
    chunk_count = models.PositiveIntegerField()
    term_total = models.PositiveBigIntegerField(help_text="Sum of the lengths of its chunks, in terms.")
    chunk_ids = models.BinaryField(help_text="16 bytes a chunk; its place is its number in the postings.")
    lengths = models.BinaryField(help_text="Little-endian uint32 a chunk: its length in terms.")
    deleted = models.BinaryField(
        default=b"", help_text="A bit a chunk, set when it is gone or newer elsewhere."
    )
    deleted_count = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.chunk_count} chunks of {self.corpus_id}"


class LexicalTerm(models.Model):
    """The postings of a term in a segment: numbers of chunks and how often each has the term, packed."""

    pk = models.CompositePrimaryKey("segment_id", "term")
    segment = models.ForeignKey(
        LexicalSegment, on_delete=models.CASCADE, related_name="terms", db_index=False
    )
    term = models.TextField(db_collation="C")
    document_frequency = models.PositiveIntegerField()
    postings = models.BinaryField()

    def __str__(self) -> str:
        return self.term


class ChangedChunk(models.Model):
    """A chunk that was added, changed or removed since the lexical index last looked; triggers fill it."""

    id = models.BigAutoField(primary_key=True)
    corpus = models.ForeignKey(
        Corpus, on_delete=models.CASCADE, related_name="changed_chunks", db_constraint=False
    )
    chunk_id = models.UUIDField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return str(self.chunk_id)
