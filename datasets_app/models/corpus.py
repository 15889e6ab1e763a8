"""The source corpus: what was read (analyses), what was found in it, and the chunks that retrieval finds."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from datasets_app.models.dataset import StoredJsonDecoder
from goldenproject.kit.clock import now, random_uuid
from goldenproject.kit.history import audited

DEFAULT_CORPUS = "default"


class Corpus(models.Model):
    """A body of sources with its test queries; retrieval is searched and evaluated within one."""

    id = models.UUIDField(primary_key=True, default=random_uuid, editable=False)
    name = models.CharField(max_length=120, unique=True)
    description = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    history = audited()

    class Meta:
        verbose_name_plural = "corpora"
        ordering = ["name"]
        constraints = [models.CheckConstraint(condition=~models.Q(name=""), name="corpus_has_name")]

    def __str__(self) -> str:
        return self.name


class Analysis(models.Model):
    """A source that was read: its canonical URL, and what came of it. Only completed ones are golden."""

    class Status(models.TextChoices):
        PENDING = "pending"
        COMPLETED = "completed"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=random_uuid, editable=False)
    corpus = models.ForeignKey(Corpus, on_delete=models.PROTECT, related_name="analyses")
    url = models.TextField("URL", help_text="The canonical address of the source, never a placeholder.")
    canonical_url = models.TextField(editable=False, db_collation="C")
    url_violation = models.TextField(
        editable=False,
        blank=True,
        default="",
        help_text="Why the URL breaks the contract; empty when it keeps it.",
    )
    content_type = models.CharField(max_length=120)
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    created_at = models.DateTimeField(default=now, editable=False)

    history = audited()

    class Meta:
        verbose_name_plural = "analyses"
        ordering = ["created_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["corpus", "canonical_url"],
                condition=models.Q(url_violation=""),
                name="analysis_url_once_per_corpus",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=["pending", "completed", "failed"]),
                name="analysis_status_known",
            ),
        ]
        indexes = [
            models.Index(fields=["created_at", "id"], name="analysis_order"),
            models.Index(fields=["corpus", "status", "created_at", "id"], name="analysis_corpus_status"),
            models.Index(
                fields=["corpus"], condition=~models.Q(url_violation=""), name="analysis_breaking_contract"
            ),
        ]

    def __str__(self) -> str:
        return self.url


class Finding(models.Model):
    """Something that an agent found in a source."""

    id = models.UUIDField(primary_key=True, default=random_uuid, editable=False)
    analysis = models.ForeignKey(Analysis, on_delete=models.CASCADE, related_name="findings", db_index=False)
    position = models.PositiveIntegerField(help_text="0-based place among the findings of the analysis.")
    agent = models.CharField(max_length=120)
    category = models.CharField(max_length=120, blank=True, default="")
    content = models.TextField()
    confidence = models.FloatField(help_text="0 to 1.")

    history = audited()

    class Meta:
        ordering = ["analysis", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["analysis", "position"],
                name="finding_position_once",
                deferrable=models.Deferrable.DEFERRED,
            ),
            models.CheckConstraint(
                condition=models.Q(confidence__gte=0, confidence__lte=1), name="finding_confidence_0_1"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.agent}: {self.content[:80]}"


class ChunkHash(models.Func):
    """SHA-256 of the text that is embedded and indexed: the section title, a line feed, the content."""

    function = "golden_chunk_hash"
    output_field = models.BinaryField()


class Chunk(models.Model):
    """A piece of a source that retrieval finds. Its vectors and postings are found by the hash of its text."""

    id = models.UUIDField(primary_key=True, default=random_uuid, editable=False)
    analysis = models.ForeignKey(Analysis, on_delete=models.CASCADE, related_name="chunks", db_index=False)
    content = models.TextField()
    section_title = models.TextField(blank=True, default="")
    section_path = models.TextField(blank=True, default="", db_collation="C")
    content_type = models.CharField(max_length=120, blank=True, default="")
    chunk_index = models.IntegerField(help_text="0-based place in the source.")
    content_hash = models.GeneratedField(
        expression=ChunkHash("section_title", "content"), output_field=models.BinaryField(), db_persist=True
    )

    history = audited(excluded_fields=["content_hash"])

    class Meta:
        ordering = ["analysis", "chunk_index"]
        constraints = [
            models.UniqueConstraint(
                fields=["analysis", "chunk_index"],
                name="chunk_index_once",
                deferrable=models.Deferrable.DEFERRED,
            ),
            models.CheckConstraint(condition=models.Q(chunk_index__gte=0), name="chunk_index_not_negative"),
        ]
        indexes = [models.Index(fields=["content_hash"], name="chunk_content_hash")]

    def __str__(self) -> str:
        return self.section_title or self.content[:80]

    @property
    def searched_text(self) -> str:
        """What is embedded and indexed of this chunk."""
        return searched_text(self.section_title, self.content)


def searched_text(section_title: str, content: str) -> str:
    """Return what is embedded and indexed of a chunk: its title and its content, a line each."""
    return f"{section_title}\n{content}" if section_title else content


class Artifact(models.Model):
    """What was made of a whole source: summary, key findings, metadata."""

    id = models.UUIDField(primary_key=True, default=random_uuid, editable=False)
    analysis = models.OneToOneField(Analysis, on_delete=models.CASCADE, related_name="artifact")
    summary = models.TextField(blank=True, default="")
    key_findings = models.JSONField(default=list, blank=True, decoder=StoredJsonDecoder)
    metadata = models.JSONField(default=dict, blank=True, decoder=StoredJsonDecoder)

    history = audited()

    def __str__(self) -> str:
        return self.summary[:80]


class SourceCheck(models.Model):
    """What the last look at an analysis' URL found; the first one is what later ones are compared with."""

    class Outcome(models.TextChoices):
        FIRST = "first", "seen for the first time"
        SAME = "same", "unchanged"
        CHANGED = "changed"
        MOVED = "moved", "redirects elsewhere"
        GONE = "gone", "not found"
        FAILED = "failed", "could not be fetched"
        REFUSED = "refused", "not fetched: the address is not public"

    analysis = models.OneToOneField(
        Analysis, on_delete=models.CASCADE, primary_key=True, related_name="source_check"
    )
    checked_at = models.DateTimeField()
    outcome = models.CharField(max_length=7, choices=Outcome.choices)
    http_status = models.PositiveSmallIntegerField(null=True)
    final_url = models.TextField(default="")
    content_sha256 = models.CharField(
        max_length=64, default="", help_text="Of the visible text at the first look."
    )
    size_bytes = models.PositiveBigIntegerField(default=0)
    changed_at = models.DateTimeField(null=True, help_text="When the text was first seen to differ.")
    message = models.TextField(default="")

    def __str__(self) -> str:
        return f"{self.analysis_id}: {self.outcome}"


class TestQuery(models.Model):
    """A question that retrieval must answer: the chunks it should find, and the rule by which it passes."""

    __test__ = False  # not a test of pytest's

    class Difficulty(models.TextChoices):
        EASY = "easy"
        MEDIUM = "medium"
        HARD = "hard"

    id = models.UUIDField(primary_key=True, default=random_uuid, editable=False)
    corpus = models.ForeignKey(Corpus, on_delete=models.PROTECT, related_name="queries", db_index=False)
    external_id = models.TextField(blank=True, default="", db_collation="C")
    text = models.TextField()
    tags = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    difficulty = models.CharField(max_length=6, choices=Difficulty.choices, blank=True, default="")
    category = models.CharField(max_length=120, blank=True, default="")
    pass_rule = models.JSONField(
        default=dict,
        blank=True,
        help_text='{"rule": "any" | "all" | "recall" | "ndcg", "k": 10, "at_least": 0.5}; empty: any in the top k.',
    )
    created_at = models.DateTimeField(default=now, editable=False)
    expected = models.ManyToManyField(Chunk, through="ExpectedChunk", related_name="expected_by")

    history = audited()

    class Meta:
        verbose_name_plural = "test queries"
        ordering = ["created_at", "id"]
        constraints = [
            models.CheckConstraint(condition=~models.Q(text=""), name="test_query_has_text"),
            models.UniqueConstraint(
                fields=["corpus", "external_id"],
                condition=~models.Q(external_id=""),
                name="test_query_external_id_once",
            ),
        ]
        indexes = [models.Index(fields=["corpus", "created_at", "id"], name="test_query_order")]

    def __str__(self) -> str:
        return self.text


class ExpectedChunk(models.Model):
    """A judgment: this chunk answers this query, to this degree."""

    query = models.ForeignKey(
        TestQuery, on_delete=models.CASCADE, related_name="expectations", db_index=False
    )
    chunk = models.ForeignKey(Chunk, on_delete=models.PROTECT, related_name="expectations")
    relevance = models.PositiveSmallIntegerField(
        default=1, help_text="0 not relevant, 1 relevant, more: better."
    )

    history = audited()

    class Meta:
        ordering = ["query", "-relevance", "chunk"]
        constraints = [models.UniqueConstraint(fields=["query", "chunk"], name="expected_chunk_once")]

    def __str__(self) -> str:
        return f"{self.query_id} → {self.chunk_id} ({self.relevance})"


class RetrievalRun(models.Model):
    """One evaluation of retrieval over test queries: how, with which result. Written once, when it is complete."""

    id = models.BigAutoField(primary_key=True)
    corpus = models.ForeignKey(Corpus, on_delete=models.PROTECT, related_name="runs")
    name = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(default=now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_constraint=False
    )
    embedding_model = models.CharField(
        max_length=200, blank=True, default="", help_text="Empty: no vector leg."
    )
    options = models.JSONField(help_text="How it searched, and which queries it took.")
    k = models.PositiveIntegerField()
    corpus_hash = models.CharField(max_length=64, help_text="SHA-256 over the hashes of the searched chunks.")
    queries_hash = models.CharField(max_length=64, help_text="SHA-256 over queries and judgments.")
    query_count = models.PositiveIntegerField()
    skipped_count = models.PositiveIntegerField(default=0, help_text="Queries without expected chunks.")
    passed_count = models.PositiveIntegerField()
    metrics = models.JSONField(help_text='{"ndcg@10": {"mean", "low", "high", "n"}, …} with 95 % intervals.')
    groups = models.JSONField(
        default=list, help_text='[{"by": "tag", "value", "n", "metrics": {name: mean}}]'
    )
    warnings = models.JSONField(default=list)
    seconds = models.FloatField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["corpus", "-id"], name="retrieval_run_newest")]

    def __str__(self) -> str:
        return self.name or f"run {self.pk}"


class RetrievalResult(models.Model):
    """What one run found for one query. Immutable; the query's text is kept as it was asked."""

    pk = models.CompositePrimaryKey("run_id", "query_id")
    run = models.ForeignKey(RetrievalRun, on_delete=models.PROTECT, related_name="results", db_index=False)
    query_id = models.UUIDField()
    text = models.TextField()
    passed = models.BooleanField()
    metrics = models.JSONField(help_text="{metric: value} of this query.")
    expected = models.JSONField(help_text="[[chunk id, relevance, rank found or null]] of this query then.")
    found = models.JSONField(help_text="[[chunk id, score]] of the top k, best first.")

    class Meta:
        ordering = ["run_id", "query_id"]
        indexes = [models.Index(fields=["run", "passed", "query_id"], name="retrieval_result_failing")]

    def __str__(self) -> str:
        return self.text
