"""What can go wrong with datasets; a class per cause, the docstring is the default message."""

from __future__ import annotations

from goldenproject.kit.errors import BadInput, Conflict, GoldenError, NotFound, Unavailable


class InvalidJson(BadInput):
    """A value is not the JSON that golden data may hold."""

    code = "invalid_json"


class InvalidSchema(BadInput):
    """A JSON Schema of an example type cannot be used."""

    code = "invalid_schema"


class InvalidChoices(InvalidSchema):
    """Choices of an example type cannot be told apart."""

    code = "invalid_choices"


class SchemaViolation(BadInput):
    """An example does not match its type."""

    code = "schema_violation"


class UnknownType(BadInput):
    """There is no example type of this name."""

    code = "unknown_type"


class DuplicateExample(BadInput):
    """The same example id occurs twice."""

    code = "duplicate_example"


class MalformedRow(BadInput):
    """A row of a file cannot be read."""

    code = "malformed_row"


class UnknownDataset(NotFound):
    """There is no dataset of this name."""

    code = "unknown_dataset"


class UnknownExample(NotFound):
    """There is no such example."""

    code = "unknown_example"


class UnknownRef(NotFound):
    """No commit, tag or branch has this name."""

    code = "unknown_ref"


class AmbiguousRef(BadInput):
    """More than one commit begins with these digits."""

    code = "ambiguous_ref"


class InvalidRefName(BadInput):
    """A branch or tag cannot have this name."""

    code = "invalid_ref_name"


class RefExists(Conflict):
    """A branch or tag of this name exists already."""

    code = "ref_exists"


class RefMoved(Conflict):
    """Somebody else moved the branch in the meantime."""

    code = "ref_moved"


class NothingToCommit(Conflict):
    """The working copy equals the last commit."""

    code = "nothing_to_commit"


class UncommittedChanges(Conflict):
    """The working copy has changes that are not committed."""

    code = "uncommitted_changes"


class WorktreeClosed(Conflict):
    """This branch has no working copy."""

    code = "worktree_closed"


class MergeConflicts(Conflict):
    """The branches changed the same fields in different ways."""

    code = "merge_conflicts"


class MergeState(Conflict):
    """The merge is not in a state that allows this."""

    code = "merge_state"


class NoCommonHistory(Conflict):
    """The two versions have no commit in common."""

    code = "no_common_history"


class EditConflict(Conflict):
    """Somebody else changed this example while you had it open."""

    code = "edit_conflict"


class Redacted(Conflict):
    """The content of this example was redacted."""

    code = "redacted"


class CorruptData(GoldenError):
    """Stored golden data does not match its hash."""

    code = "corrupt_data"
    http_status = 500


class InvalidPassRule(BadInput):
    """The rule by which a test query passes cannot be used."""

    code = "invalid_pass_rule"


class UnknownRun(NotFound):
    """There is no such evaluation run."""

    code = "unknown_run"


class NothingToEvaluate(BadInput):
    """No test query with expected chunks was chosen, so there is nothing to evaluate."""

    code = "nothing_to_evaluate"


class UnknownCorpus(NotFound):
    """There is no corpus of this name."""

    code = "unknown_corpus"


class InvalidAnalysis(BadInput):
    """An analysis is not as format 1.0 wants it."""

    code = "invalid_analysis"


class UrlContractBroken(BadInput):
    """The URL of an analysis breaks the URL contract."""

    code = "url_contract_broken"


class AnalysisExists(Conflict):
    """The analysis is there already."""

    code = "analysis_exists"


class InvalidQuery(BadInput):
    """A test query cannot be taken as it is."""

    code = "invalid_query"


class QueryExists(Conflict):
    """The test query is there already."""

    code = "query_exists"


class ExpectedByQueries(Conflict):
    """Test queries expect chunks that would be gone."""

    code = "expected_by_queries"


class EmbeddingTrouble(Unavailable):
    """The embedding model did not give usable vectors."""

    code = "embedding_trouble"


class WrongDimension(EmbeddingTrouble):
    """The vectors do not have the dimension of their model."""

    code = "wrong_dimension"


class UnknownEmbeddingModel(NotFound):
    """There is no embedding model of this name."""

    code = "unknown_embedding_model"


class NoCurrentModel(Conflict):
    """No embedding model is the current one."""

    code = "no_current_model"


class EmbeddingModelExists(Conflict):
    """An embedding model of this name exists already."""

    code = "embedding_model_exists"


class ModelNotReady(Conflict):
    """The embedding model does not have all vectors yet."""

    code = "model_not_ready"


class EmbeddingRuns(Conflict):
    """The vectors of this model are being made by another process."""

    code = "embedding_runs"


class UnknownMetric(BadInput):
    """There is no retrieval metric of this name."""

    code = "unknown_metric"


class InvalidSearch(BadInput):
    """The search cannot be done in this way."""

    code = "invalid_search"


class IndexBusy(Unavailable):
    """The lexical index changed again and again while it was read."""

    code = "lexical_index_busy"


class IndexNeedsOwner(Conflict):
    """Only the owner of the tables can make an index."""

    code = "index_needs_owner"


class SourceRefused(BadInput):
    """This source may not be fetched: its address is not public."""

    code = "source_refused"


class SourceUnreachable(Unavailable):
    """The source could not be fetched."""

    code = "source_unreachable"
