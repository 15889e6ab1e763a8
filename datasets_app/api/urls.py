"""The addresses of the API, under /api/v1/. A dataset is named by its name or UUID, an example by UUID or external id.

Names of branches and tags may hold slashes, so they stand at the end of an address or before a fixed word.
"""

from __future__ import annotations

from django.urls import path

from datasets_app.api import (
    analyses,
    blame,
    commits,
    corpora,
    datasets,
    evaluations,
    examples,
    imports,
    merges,
    refs,
    searching,
    site,
    test_queries,
    tokens,
    versions,
)

app_name = "api"

_DATASET = "datasets/<str:dataset>"
_MERGE = f"{_DATASET}/merges/<int:merge>"
_CORPUS = "corpora/<str:corpus>"
_MODEL = "embedding-models/<slug:model>"
_VERSION = f"{_DATASET}/versions/<path:ref>/examples"

urlpatterns = [
    path("health", site.HealthView.as_view(), name="health"),
    path("whoami", site.WhoAmIView.as_view(), name="whoami"),
    path("schema/", site.SchemaView.as_view(), name="schema"),
    path("docs/", site.DocsView.as_view(), name="docs"),
    path("tokens", tokens.TokensView.as_view(), name="tokens"),
    path("tokens/<str:key>", tokens.TokenView.as_view(), name="token"),
    path("jobs", site.JobsView.as_view(), name="jobs"),
    path("jobs/<uuid:job>", site.JobView.as_view(), name="job"),
    path("types", datasets.TypesView.as_view(), name="types"),
    path("types/<str:name>", datasets.TypeView.as_view(), name="type"),
    path("datasets", datasets.DatasetsView.as_view(), name="datasets"),
    path(_DATASET, datasets.DatasetView.as_view(), name="dataset"),
    path(f"{_DATASET}/members", datasets.MembersView.as_view(), name="members"),
    path(f"{_DATASET}/members/<int:member>", datasets.MemberView.as_view(), name="member"),
    path(f"{_DATASET}/examples", examples.ExamplesView.as_view(), name="examples"),
    path(f"{_DATASET}/examples/<str:example>", examples.ExampleView.as_view(), name="example"),
    path(f"{_DATASET}/examples/<str:example>/blame", blame.BlameView.as_view(), name="blame"),
    path(
        f"{_DATASET}/examples/<str:example>/history",
        blame.ExampleHistoryView.as_view(),
        name="example-history",
    ),
    path(f"{_DATASET}/bulk", examples.BulkView.as_view(), name="bulk"),
    path(f"{_DATASET}/imports", imports.ImportsView.as_view(), name="imports"),
    path(f"{_DATASET}/imports/<uuid:batch>", imports.ImportView.as_view(), name="import"),
    path(f"{_DATASET}/imports/<uuid:batch>/rows", imports.ImportRowsView.as_view(), name="import-rows"),
    path(f"{_DATASET}/imports/<uuid:batch>/apply", imports.ImportApplyView.as_view(), name="import-apply"),
    path(f"{_DATASET}/status", commits.StatusView.as_view(), name="status"),
    path(f"{_DATASET}/commits", commits.CommitsView.as_view(), name="commits"),
    path(f"{_DATASET}/commits/<path:ref>", commits.CommitView.as_view(), name="commit"),
    path(f"{_DATASET}/diff", commits.DiffView.as_view(), name="diff"),
    path(f"{_DATASET}/checkout", commits.CheckoutView.as_view(), name="checkout"),
    path(f"{_DATASET}/branches", refs.BranchesView.as_view(), name="branches"),
    path(f"{_DATASET}/branches/<path:branch>", refs.BranchView.as_view(), name="branch"),
    path(f"{_DATASET}/worktrees/<path:branch>", refs.WorktreeView.as_view(), name="worktree"),
    path(f"{_DATASET}/tags", refs.TagsView.as_view(), name="tags"),
    path(f"{_DATASET}/tags/<path:tag>", refs.TagView.as_view(), name="tag"),
    path(f"{_DATASET}/merges", merges.MergesView.as_view(), name="merges"),
    path(f"{_DATASET}/revert", merges.RevertView.as_view(), name="revert"),
    path(_MERGE, merges.MergeView.as_view(), name="merge"),
    path(f"{_MERGE}/conflicts", merges.ConflictsView.as_view(), name="conflicts"),
    path(f"{_MERGE}/conflicts/<int:conflict>", merges.ConflictView.as_view(), name="conflict"),
    path(f"{_MERGE}/complete", merges.CompleteView.as_view(), name="merge-complete"),
    path(f"{_MERGE}/abort", merges.AbortView.as_view(), name="merge-abort"),
    path(f"{_VERSION}.ndjson", versions.VersionStreamView.as_view(), name="version-stream"),
    path(f"{_VERSION}/<str:example>", versions.VersionExampleView.as_view(), name="version-example"),
    path(_VERSION, versions.VersionExamplesView.as_view(), name="version-examples"),
    path("corpora", corpora.CorporaView.as_view(), name="corpora"),
    path(_CORPUS, corpora.OneCorpusView.as_view(), name="corpus"),
    path(f"{_CORPUS}/bulk", corpora.CorpusBulkView.as_view(), name="corpus-bulk"),
    path(f"{_CORPUS}/analyses", analyses.AnalysesView.as_view(), name="analyses"),
    path("analyses/<uuid:analysis>", analyses.AnalysisView.as_view(), name="analysis"),
    path(f"{_CORPUS}/chunks", analyses.ChunksView.as_view(), name="chunks"),
    path("chunks/<uuid:chunk>", analyses.ChunkView.as_view(), name="chunk"),
    path(f"{_CORPUS}/queries", test_queries.QueriesView.as_view(), name="queries"),
    path("queries/<uuid:query>", test_queries.QueryView.as_view(), name="query"),
    path(f"{_CORPUS}/search", searching.SearchView.as_view(), name="search"),
    path(f"{_CORPUS}/runs", evaluations.RunsView.as_view(), name="runs"),
    path("runs/<int:run>", evaluations.RunView.as_view(), name="run"),
    path("runs/<int:run>/results", evaluations.ResultsView.as_view(), name="run-results"),
    path("runs/<int:run>/against/<int:base>", evaluations.ComparisonView.as_view(), name="run-comparison"),
    path("embedding-models", searching.EmbeddingModelsView.as_view(), name="embedding-models"),
    path(_MODEL, searching.EmbeddingModelView.as_view(), name="embedding-model"),
    path(f"{_MODEL}/current", searching.CurrentModelView.as_view(), name="embedding-model-current"),
    path(f"{_MODEL}/embed", searching.EmbedView.as_view(), name="embedding-model-embed"),
]
