"""Restore a backup: all of it or nothing, in one transaction, proved by hashes before it is committed."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import psycopg
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.utils import DataError

from datasets_app.domain.roles import Action
from datasets_app.models import Analysis, AuditEvent, Corpus, Dataset, ExampleType, Redaction, TestQuery
from datasets_app.models.corpus import DEFAULT_CORPUS
from datasets_app.services.access import record, require
from exports_app.backup import layout
from exports_app.backup.clearing import delete_datasets, wipe
from exports_app.backup.corpus_loading import known_ids, there_already
from exports_app.backup.guards import lifted_guards
from exports_app.backup.loading import Loader, Plan, Progress
from exports_app.backup.opened import Backup
from exports_app.backup.reading import findings, open_backup
from exports_app.backup.rebuilding import check_references, rebuild_trees
from exports_app.backup.shard_checks import check_shards
from exports_app.errors import RestoreConflict, RestoreFailed, RestoreRefused
from exports_app.services.backups import BackupOptions, create_backup, totals_told
from exports_app.services.restored_retrieval import embed_first, index_afterwards
from goldenproject.kit.clock import now
from labeling_app.models import Webhook
from labeling_app.services.verifying import broken_references

_ANALYZED = (
    "exampleidentity",
    "example",
    "blob",
    "examplechange",
    "analysis",
    "finding",
    "chunk",
    "artifact",
    "testquery",
    "expectedchunk",
    "changedchunk",
    "historicalexample",
    "historicalanalysis",
    "historicalfinding",
    "historicalchunk",
    "historicalartifact",
    "historicaltestquery",
    "historicalexpectedchunk",
)
_ANALYZED_LABELS = ("queueitem", "lease", "label", "labelhistory", "consensus", "review", "suggestion")
ON_CONFLICT = ("error", "skip", "update")


@dataclass(frozen=True)
class RestoreOptions:
    """`replace`: delete what is there first. `on_conflict`: what becomes of a dataset or type that is there by id.

    "error" refuses, "skip" leaves what is there, "update" puts the backup's in its place, each dataset as a whole with
    its versions; analyses and test queries alike, each with all that is its own. `strict`: findings in the content refuse the restore. `safety_dir`: where the safety backup goes.
    """

    replace: bool = False
    on_conflict: str = "error"
    dry_run: bool = False
    strict: bool = False
    safety_dir: Path | None = None
    embeddings: bool = True  # False: golden_embed makes them later; verify misses them until then
    source: str = ""  # what the audit names as the source, when the folder is a temporary one
    job: str = ""  # the job that does it: how one that was killed finds what it has done


@dataclass(frozen=True)
class RestoreResult:
    """What was restored (or, in a dry run, would be). `findings` is what is wrong with the content."""

    directory: Path | str  # or what to call the source, when the folder is a temporary one
    dry_run: bool
    replaced: bool
    datasets: dict[str, list[str]]
    counts: dict[str, int] = field(default_factory=dict)
    new_people: list[str] = field(default_factory=list)
    commits_proved: int = 0
    safety_backup: Path | None = None
    findings: list[str] = field(default_factory=list)
    analyses: dict[str, int] = field(default_factory=dict)
    queries: dict[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        safety = str(self.safety_backup) if self.safety_backup else None
        return {**asdict(self), "directory": str(self.directory), "safety_backup": safety}


@dataclass(frozen=True)
class _Choice:
    """What happens to each dataset of the backup."""

    add: list[tuple[uuid.UUID, str]]
    update: list[tuple[uuid.UUID, str]]
    skip: list[tuple[uuid.UUID, str]]
    known_analyses: int = 0
    known_queries: int = 0
    replaces_sources: bool = False

    @property
    def names(self) -> dict[str, list[str]]:
        kinds = {"add": self.add, "update": self.update, "skip": self.skip}
        return {kind: [name for _, name in pairs] for kind, pairs in kinds.items()}

    @property
    def replaces(self) -> bool:
        """Whether something that is there is replaced, so that a safety backup is called for."""
        return bool(self.update) or self.replaces_sources

    @property
    def loaded(self) -> frozenset[uuid.UUID]:
        return frozenset(pk for pk, _ in (*self.add, *self.update))


def restore_backup(
    *, directory: Path, actor: Any, options: RestoreOptions | None = None, progress: Progress | None = None
) -> RestoreResult:
    """Restore the backup in `directory`.

    Everything that can be checked without a database is checked before anything is written. Raises NoBackup,
    BackupInUse, InvalidBackup, DamagedBackup, NewerBackup, RestoreConflict (what is there by id, or a name that is
    taken), RestoreRefused (findings and `strict`), RestoreFailed (trees or references do not prove), Forbidden.
    After any of them the database is as it was.
    """
    if actor is not None:
        require(actor, Action.RESTORE)
    options = options or RestoreOptions()
    with layout.locked(directory, writing=False):
        backup = open_backup(directory)
        troubles: list[str] = []
        for _ in check_shards(backup):
            pass
        found = findings(backup)
        _refuse_when_strict(directory, found, options)
        if options.dry_run:
            return _dry_run(backup, options, found)
        _choose(
            backup, options, whole=options.replace or is_pristine()
        )  # a conflict is told before all the work
        if options.embeddings:
            troubles = embed_first(backup, progress)
            _refuse_when_strict(directory, troubles, options)
            found += troubles
        try:
            result = _restore(backup, actor, options, found, progress)
        except (IntegrityError, DataError, psycopg.errors.DatabaseError) as error:
            raise RestoreFailed(
                f"The database refused what the backup holds: {str(error).strip().splitlines()[0]}. Nothing was changed.",
                hint="Use another copy of the backup, or an older one.",
            ) from error
    later = index_afterwards(embeddings=options.embeddings and not troubles, progress=progress)
    return replace(result, findings=[*result.findings, *later])


def _refuse_when_strict(directory: Path, found: list[str], options: RestoreOptions) -> None:
    if found and options.strict:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise RestoreRefused(
            f"{directory}: {found[0]}{more}.", hint="Without --strict it is restored and reported."
        )


def is_pristine() -> bool:
    """Tell whether nobody has put anything in yet: no dataset, no type but the built-in ones, no source, no webhook."""
    return not (
        Dataset.objects.exists()
        or ExampleType.objects.filter(is_builtin=False).exists()
        or Corpus.objects.exclude(name=DEFAULT_CORPUS).exists()
        or Analysis.objects.exists()
        or TestQuery.objects.exists()
        or Webhook.objects.exists()
    )


def _restore(
    backup: Backup, actor: Any, options: RestoreOptions, found: list[str], progress: Progress | None
) -> RestoreResult:
    with transaction.atomic():
        with lifted_guards():
            result = _load(backup, actor, options, found, progress)
        _record(result, backup, actor, options)
    return result


def _dry_run(backup: Backup, options: RestoreOptions, found: list[str]) -> RestoreResult:
    whole = options.replace or is_pristine()
    choice = _choose(backup, options, whole=whole)
    counts = {name: backup.count(name) for name in backup.parts if name not in ("people", "files")}
    counts |= {
        "analyses": backup.census.analyses,
        "chunks": len(backup.census.chunk_ids),
        "artifacts": backup.census.all_artifacts,
    }
    kind = "update" if options.on_conflict == "update" else "skip"
    known = choice.known_analyses
    analyses = {"add": backup.census.analyses - known, kind: known}
    queries = {"add": backup.count("test_queries") - choice.known_queries, kind: choice.known_queries}
    return RestoreResult(
        backup.folder, True, whole, choice.names, counts, findings=found, analyses=analyses, queries=queries
    )


def _load(
    backup: Backup, actor: Any, options: RestoreOptions, found: list[str], progress: Progress | None
) -> RestoreResult:
    """Do the work of the transaction: nobody else reads or writes golden tables until it ends."""
    pristine = is_pristine()
    whole = options.replace or pristine
    choice = _choose(backup, options, whole=whole)
    safety = None
    if not pristine and (options.replace or choice.replaces):
        safety = take_safety_backup(options)
    erased = _erased_since(backup, None if whole else [pk for pk, _ in choice.update])
    connection.ensure_connection()
    with psycopg.Cursor(connection.connection) as cursor:
        if whole:
            wipe(cursor)
            plan = Plan()
        else:
            delete_datasets(cursor, [pk for pk, _ in choice.update])
            plan = Plan(choice.loaded, _match_types(backup, options), options.on_conflict)
        loader = Loader(cursor, backup, plan, progress)
        counts = loader.load()
        for table in _ANALYZED:
            cursor.execute(f"ANALYZE datasets_app_{table}")
        for table in _ANALYZED_LABELS:
            cursor.execute(f"ANALYZE labeling_app_{table}")
        if whole:
            cursor.execute(
                "UPDATE datasets_app_jobrun SET dataset_id = NULL "
                "WHERE dataset_id NOT IN (SELECT id FROM datasets_app_dataset)"
            )
        proved = rebuild_trees(plan.datasets)
        check_references(cursor)
    if broken := broken_references():
        raise RestoreFailed(
            f"The backup does not prove sound: {broken[0]}. Nothing was changed.",
            hint="Use another copy of the backup, or an older one.",
        )
    return RestoreResult(
        backup.folder,
        False,
        options.replace,
        choice.names,
        counts,
        loader.new_people,
        proved,
        safety,
        [*found, *loader.corpus.findings, *erased],
        loader.corpus.analyses,
        loader.corpus.queries,
    )


def _choose(backup: Backup, options: RestoreOptions, *, whole: bool) -> _Choice:
    records = [orjson.loads(line) for line in backup.lines("datasets")]
    there = {} if whole else dict(Dataset.objects.values_list("pk", "name"))
    names = {name: pk for pk, name in there.items()}
    choice = _Choice([], [], [])
    for fields in records:
        pk, name = uuid.UUID(fields["id"]), fields["name"]
        if names.get(name, pk) != pk:
            raise RestoreConflict(
                f"The database holds another dataset of the name “{name}” (id {names[name]}; the backup's has {pk}).",
                hint="Rename one of them, or restore with --replace.",
            )
        if pk not in there:
            choice.add.append((pk, name))
        elif options.on_conflict == "error":
            raise RestoreConflict(
                f"The database holds dataset “{name}” ({pk}) already; nothing was changed.",
                hint="--on-conflict skip leaves it, --on-conflict update puts the backup's in its place, "
                "--replace replaces the whole database.",
            )
        else:
            (choice.update if options.on_conflict == "update" else choice.skip).append((pk, name))
    return choice if whole else _with_sources(choice, backup, options)


def _with_sources(choice: _Choice, backup: Backup, options: RestoreOptions) -> _Choice:
    """Add how many analyses and test queries are there already. Raises RestoreConflict when none may be."""
    connection.ensure_connection()
    with psycopg.Cursor(connection.connection) as cursor:
        analyses = list(known_ids(cursor, "datasets_app_analysis", backup.analysis_ids()))
        wanted = (uuid.UUID(orjson.loads(line)["id"]) for line in backup.lines("test_queries"))
        queries = list(known_ids(cursor, "datasets_app_testquery", wanted))
    if options.on_conflict == "error" and analyses:
        raise there_already("analysis", "analyses", analyses)
    if options.on_conflict == "error" and queries:
        raise there_already("test query", "test queries", queries)
    return replace(
        choice,
        known_analyses=len(analyses),
        known_queries=len(queries),
        replaces_sources=options.on_conflict == "update" and bool(analyses or queries),
    )


_TYPE_FIELDS = ("input_schema", "output_schema", "class_field", "required_fields")


def _match_types(backup: Backup, options: RestoreOptions) -> dict[int, int]:
    """Match the backup's types by name with those that are there; return number in the file → number here."""
    there = {example_type.name: example_type for example_type in ExampleType.objects.all()}
    matched = {}
    for line in backup.lines("example_types"):
        fields = orjson.loads(line)
        known = there.get(fields["name"])
        if known is None:
            continue
        if any(getattr(known, name) != fields[name] for name in _TYPE_FIELDS):
            _settle_type(known, fields, options)
        matched[fields["id"]] = known.pk
    return matched


def _settle_type(known: ExampleType, fields: dict[str, Any], options: RestoreOptions) -> None:
    if options.on_conflict == "error":
        raise RestoreConflict(
            f"The example type “{known.name}” is there with another definition; nothing was changed.",
            hint="--on-conflict skip keeps the one that is there, --on-conflict update takes the backup's.",
        )
    if options.on_conflict == "update":
        for name in (*_TYPE_FIELDS, "title", "description", "presentation"):
            setattr(known, name, fields[name])
        known.save()


def _erased_since(backup: Backup, datasets: list[uuid.UUID] | None) -> list[str]:
    """Name the redactions, of all or some datasets, that the backup does not know: it brings the erased texts back."""
    known = {orjson.loads(line)["blob_hash"] for line in backup.lines("redactions")}
    redactions = Redaction.objects.order_by("id")
    if datasets is not None:
        redactions = redactions.filter(dataset__in=datasets)
    lost = [r for r in redactions if bytes(r.blob_hash).hex() not in known]
    return [
        f"the redaction of example {r.example_id} ({r.reason}) is newer than the backup: redact it again"
        for r in lost
    ]


def take_safety_backup(options: RestoreOptions) -> Path:
    parent = options.safety_dir or Path(settings.GOLDEN_DATA_DIR) / "safety-backups"
    directory = parent / now().strftime("%Y-%m-%dT%H%M%S.%fZ")
    create_backup(directory=directory, actor=None, options=BackupOptions(keep_record=False))
    return directory


def _record(result: RestoreResult, backup: Backup, actor: Any, options: RestoreOptions) -> None:
    """Add the one audit entry, and the changes that the backup's metadata file tells and the database does not."""
    source = options.source or str(backup.folder)
    of_job: dict[str, Any] = {"job": options.job} if options.job else {}
    known = [event.details for event in AuditEvent.objects.filter(action="backup_change")]
    AuditEvent.objects.bulk_create(
        AuditEvent(action="backup_change", details=change) for change in backup.changes if change not in known
    )
    record(
        actor,
        "restore",
        None,
        f"{totals_told(backup.totals)} from {source}",
        directory=source,
        sha256=backup.sha256,
        totals=backup.totals,
        datasets=result.datasets,
        safety_backup=str(result.safety_backup) if result.safety_backup else None,
        findings=result.findings,
        **of_job,
    )


def as_text(result: RestoreResult) -> str:
    """The lines for people."""
    counts = result.counts
    what = totals_told({f"total_{name}": count for name, count in counts.items()})
    if result.dry_run:
        lines = [f"Would restore {what} from {result.directory}; nothing was changed."]
        if result.replaced:
            lines.append("Everything that the database holds would be replaced.")
        for kind, names in result.datasets.items():
            if names:
                lines.append(f"Datasets to {kind}: {', '.join(names)}.")
        for what, counted in (("Analyses", result.analyses), ("Test queries", result.queries)):
            lines += [f"{what} to {kind}: {count}." for kind, count in counted.items() if count]
    else:
        lines = [
            f"Restored {what} from {result.directory}; {result.commits_proved} commits proved by their hashes."
        ]
    if result.safety_backup:
        lines.append(f"What was there before is in {result.safety_backup}.")
    if result.new_people:
        lines.append(f"New inactive users: {', '.join(result.new_people)}.")
    lines += [f"Finding: {text}." for text in result.findings]
    return "\n".join(lines)
