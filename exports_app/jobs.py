"""The jobs of exports and backups. Every process loads this module at its start."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import OperationalError
from django.urls import reverse

from datasets_app.domain.roles import Action
from datasets_app.errors import CorruptData
from datasets_app.models import AuditEvent, JobRun
from datasets_app.services.access import record
from datasets_app.services.jobs import JobKind, Progress, register
from exports_app.backup import layout
from exports_app.backup.reading import open_backup
from exports_app.errors import AnotherBackup, DrillFailed, RestoredWithErrors, TablesInUse
from exports_app.services.archives import ArchiveOptions, Source, create_archive
from exports_app.services.backups import BackupOptions, create_backup, totals_told
from exports_app.services.label_jobs import EXPORT_JOB, IMPORT_JOB, run_label_export, run_label_import
from exports_app.services.restore_requests import RESTORE_JOB, RestoreRequest, require_owner, totals_now
from exports_app.services.restored_retrieval import index_afterwards
from exports_app.services.restores import RestoreOptions, restore_backup
from exports_app.services.scratch import DrillOptions, run_drill
from exports_app.services.stored_backups import FOLDER, backup_folder, check_stored, opened_stored
from exports_app.services.verification import VerificationResult, verify_directory, verify_installation
from goldenproject.kit.audit import acting

Report = Callable[..., None]
Facts = list[tuple[str, str]]
_SHOWN_LINES = 100
_WOULD = {"add": "Datasets to add", "update": "Datasets to replace", "skip": "Datasets to leave"}
_DID = {"add": "Datasets added", "update": "Datasets replaced", "skip": "Datasets left"}


def _reports(progress: Progress, words: str) -> Report:
    """Return a progress of services (done, total, perhaps words) that tells a job's."""

    def report(done: int, total: int | None = None, message: str = "") -> None:
        progress(done, total or None, message or words)

    return report


# --- backup ---------------------------------------------------------------------------------------------------------
def _backup(job: JobRun, progress: Progress) -> dict[str, Any]:
    """Back up into GOLDEN_BACKUP_DIR; done twice it finds its own backup there and changes nothing."""
    folder, asked = backup_folder(), job.arguments
    options = BackupOptions(description=str(asked.get("description", "")))
    if asked.get("archive"):
        return _archive(job, ArchiveOptions(options, encrypt=bool(asked.get("encrypt"))), progress)
    result = create_backup(
        directory=folder, actor=job.started_by, options=options, progress=_reports(progress, "Writing")
    )
    return {
        "folder": str(result.directory),
        "sha256": result.sha256,
        "changed_since_the_last": result.changed,
        **result.totals,
    }


def _archive(job: JobRun, options: ArchiveOptions, progress: Progress) -> dict[str, Any]:
    made = create_archive(
        place=str(backup_folder()),
        actor=job.started_by,
        options=options,
        progress=_reports(progress, "Writing"),
    )
    return {
        "folder": made.destination,
        "archive": made.name,
        "bytes": made.size,
        "sha256": made.backup.sha256,
        "changed_since_the_last": made.backup.changed,
        **made.backup.totals,
        "warnings": made.warnings,
    }


def _backup_links(job: JobRun) -> list[tuple[str, str]]:
    all_of_them = ("All backups", reverse("exports_app_backups"))
    if job.arguments.get("archive"):
        return [all_of_them]
    return [("Download the backup", reverse("exports_app_backup_download")), all_of_them]


# --- verify ---------------------------------------------------------------------------------------------------------
class VerificationFailed(CorruptData):
    """What is stored is not what was written."""

    code = "verification_failed"


def _verify(job: JobRun, progress: Progress) -> dict[str, Any]:
    """Verify the database with the age of its last backup, or a stored backup, which `source` names.

    What is wrong ends the job as failed, with all of it told.
    """
    source, deep = str(job.arguments.get("source", "")), bool(job.arguments.get("deep"))
    if source:
        found = _verify_stored(source, deep, job.started_by, progress)
    else:
        progress(0, None, "Checking hashes, histories and guards")
        found = verify_installation(deep=deep, actor=job.started_by)
    if not found.valid:
        raise VerificationFailed(found.as_text(), **found.as_dict())
    return {**found.stats, "warnings": found.warnings}


def _verify_stored(name: str, deep: bool, actor: Any, progress: Progress) -> VerificationResult:
    with opened_stored(name) as source:
        found = verify_directory(source.folder, deep=deep, progress=_reports(progress, "Reading the backup"))
        found.errors = [source.named(text) for text in found.errors]
    with acting(actor, "verify a backup"):
        verdict = "passed" if found.valid else f"{len(found.errors)} errors"
        record(
            actor, "backup.verify", None, f"{name}: {verdict}", succeeded=found.valid, source=name, deep=deep
        )
    return found


# --- restore --------------------------------------------------------------------------------------------------------
def _restore(job: JobRun, progress: Progress) -> dict[str, Any]:
    """Restore a stored backup, or tell what that would do, or try it in a throw-away database.

    A restore is one transaction, in which its audit entry names this job: when a killed worker had committed it, the next
    one finds that entry, restores nothing again, and goes on with what comes afterwards.
    """
    asked = RestoreRequest.from_arguments(job.arguments)
    if asked.into_scratch:
        return _drill(job, asked, progress)
    done = AuditEvent.objects.filter(action="restore", details__job=str(job.pk)).first()
    if done is None:
        if not asked.dry_run:
            require_owner()
        # held throughout: what is restored is what was compared
        with opened_stored(asked.source) as source, layout.locked(source.folder, writing=False):
            document = _restored(job, asked, source, progress)
        if asked.dry_run:
            return document
    else:
        document = _told_again(done, asked, progress)
    _forget_other_tries(job, document["safety_backup"])
    progress(0, None, "Verifying what was restored")
    return _with_verification(document, job.started_by)


def _restored(job: JobRun, asked: RestoreRequest, source: Source, progress: Progress) -> dict[str, Any]:
    progress(0, None, "Reading the backup")
    opened = open_backup(source.folder, trusted=True)
    if asked.sha256 and opened.sha256 != asked.sha256:
        raise AnotherBackup(
            f"{asked.source}: found a backup with the checksum {opened.sha256}, expected {asked.sha256}. "
            "It was replaced since it was looked at; nothing was changed.",
            hint="Look again at what it holds, or restore an archive, which does not change.",
        )
    options = RestoreOptions(
        replace=asked.replace,
        on_conflict=asked.on_conflict,
        dry_run=asked.dry_run,
        strict=asked.strict,
        embeddings=asked.embeddings,
        safety_dir=_safety_folder(job),
        source=source.shown,
        job=str(job.pk),
    )
    with _clear_lock_errors():
        result = restore_backup(
            directory=source.folder,
            actor=job.started_by,
            options=options,
            progress=_reports(progress, "Restoring"),
        )
    document = replace(result, directory=source.shown).document()
    document |= {"sha256": opened.sha256, "totals": opened.totals}
    if asked.dry_run:
        document |= {"created_at": f"{opened.created_at:%Y-%m-%d %H:%M:%S} UTC", "totals_now": totals_now()}
    return document


@contextmanager
def _clear_lock_errors() -> Iterator[None]:
    """Tell waiting in vain for the tables as what it is."""
    try:
        yield
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            raise TablesInUse(
                "Others have worked with the golden data all the while, such as a backup or an import; nothing was changed.",
                hint="Start the restore again when they have finished: the jobs tell.",
            ) from error
        raise


def _told_again(event: AuditEvent, asked: RestoreRequest, progress: Progress) -> dict[str, Any]:
    """Return the document of a restore that a killed worker had committed, with its indexes made now."""
    later = index_afterwards(embeddings=asked.embeddings, progress=_reports(progress, "Indexing"))
    kept = ("directory", "sha256", "totals", "datasets", "safety_backup")
    document = {name: event.details.get(name) for name in kept}
    findings = [*event.details.get("findings", []), *later]
    return {**document, "dry_run": False, "replaced": asked.replace, "findings": findings}


def _with_verification(document: dict[str, Any], actor: Any) -> dict[str, Any]:
    found = verify_installation(check_backup=False, actor=actor)
    told = {**document, "verification": _shortened(found.as_dict())}
    if not found.sound:
        raise RestoredWithErrors(f"It was restored, and then:\n{found.as_text()}", **told)
    return told


def _shortened(verification: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value[:_SHOWN_LINES] if isinstance(value, list) else value
        for name, value in verification.items()
    }


def _safety_folder(job: JobRun) -> Path:
    return Path(settings.GOLDEN_DATA_DIR) / "safety-backups" / f"restore-{job.pk}"


def _forget_other_tries(job: JobRun, kept: str | None) -> None:
    """Remove safety backups of tries of this job that were killed: they were of a database that they left as it was."""
    folder = _safety_folder(job)
    if kept is None or not folder.is_dir():
        return
    for path in folder.iterdir():
        if path != Path(kept):
            shutil.rmtree(path, ignore_errors=True)


def _drill(job: JobRun, asked: RestoreRequest, progress: Progress) -> dict[str, Any]:
    progress(0, None, "Restoring into a throw-away database")
    check_stored(asked.source)
    folder = backup_folder()
    place = folder if asked.source == FOLDER else folder / asked.source
    flags = {"--strict": asked.strict, "--no-embeddings": not asked.embeddings}
    arguments = tuple(flag for flag, wanted in flags.items() if wanted)
    result = run_drill(place=str(place), actor=job.started_by, options=DrillOptions(arguments=arguments))
    if result.exit_code == 1:
        raise DrillFailed(result.as_text(), **result.report())
    return result.report()


def _restore_links(job: JobRun) -> list[tuple[str, str]]:
    all_of_them = ("All backups", reverse("exports_app_backups"))
    if job.result.get("dry_run"):
        return [("Go on to the restore…", reverse("exports_app_restore", args=[job.pk])), all_of_them]
    return [all_of_them]


def _restore_facts(job: JobRun) -> Facts:
    """Tell a restore's document to people: what, from where, and all that is to be known of it."""
    told = job.result
    facts = [("Source", str(told.get("directory", "")))]
    if "drill" in told:
        facts.append(("Drill", "passed" if told["drill"]["passed"] else "passed with findings"))
        facts += [
            (f"Time to {name.replace('_', ' ')}", f"{s} s") for name, s in told["drill"]["seconds"].items()
        ]
        facts += [
            ("Test queries", f"{run['corpus']}: {run['passed']} of {run['queries']} passed")
            for run in told.get("evaluations", [])
        ]
    else:
        facts.append(("Outcome", "a dry run: nothing was changed" if told.get("dry_run") else "restored"))
    facts.append(("The backup holds", totals_told(told.get("totals") or {})))
    words = _WOULD if told.get("dry_run") else _DID
    datasets = told.get("datasets") or {}
    facts += [(words[kind], ", ".join(names)) for kind, names in datasets.items()]
    facts.append(("Safety backup", str(told.get("safety_backup") or "")))
    facts.append(("New inactive people", ", ".join(told.get("new_people") or [])))
    facts += [("Finding", text) for text in _first(told.get("findings") or [])]
    verification = told.get("verification")
    if verification:
        facts.append(("Verification", "passed" if verification["valid"] else "found errors"))
        facts += [("Error", text) for text in _first(verification["errors"])]
        facts += [("Warning", text) for text in _first(verification["warnings"])]
    return [(name, text) for name, text in facts if text]


def _first(texts: Iterable[str], limit: int = 20) -> list[str]:
    found = list(texts)
    return found[:limit] + ([f"… and {len(found) - limit} more"] if len(found) > limit else [])


# --- files of labels ------------------------------------------------------------------------------------------------
def _import_labels(job: JobRun, progress: Progress) -> dict[str, Any]:
    return run_label_import(job, _reports(progress, "Reading"))


def _export_labels(job: JobRun, progress: Progress) -> dict[str, Any]:
    return run_label_export(job, _reports(progress, "Writing"))


def _queue_links(job: JobRun) -> list[tuple[str, str]]:
    files = reverse("label_files", args=[job.arguments["queue"]])
    made = [("Download", f"{files}?download={job.pk}")] if job.kind == EXPORT_JOB else []
    return [
        *made,
        ("Files of the queue", files),
        ("The queue", reverse("label_queue", args=[job.arguments["queue"]])),
    ]


def _label_facts(job: JobRun) -> Facts:
    told = job.result
    outcome = "a look: nothing was changed" if told["dry_run"] else "brought in"
    names = ("tasks", "added", "changed", "same", "refused", "suggestions", "examples_added")
    counts = [(name.replace("_", " ").capitalize(), f"{told[name]:,}") for name in names if told[name]]
    left_out = [("Left out", f"{count:,}: {reason}") for reason, count in told["left_out"].items()]
    return [
        ("Outcome", outcome),
        *counts,
        *left_out,
        *(("Refused", text) for text in _first(told["problems"])),
    ]


def _export_facts(job: JobRun) -> Facts:
    told = job.result
    counts = [(name.capitalize(), f"{told[name]:,}") for name in ("tasks", "labels", "suggestions")]
    gone = (
        [("Left out", f"{told['left_out']:,} of examples that left the working copy")]
        if told["left_out"]
        else []
    )
    return [("File", told["file"]), *counts, *gone]


register(JobKind(IMPORT_JOB, "Labels of a file", Action.IMPORT, _import_labels, _queue_links, _label_facts))
register(
    JobKind(EXPORT_JOB, "Labels for another tool", Action.REVIEW, _export_labels, _queue_links, _export_facts)
)
register(JobKind("backup", "Backup", Action.BACKUP, _backup, _backup_links))
register(JobKind("verify", "Verify everything", Action.BACKUP, _verify))
register(JobKind(RESTORE_JOB, "Restore", Action.RESTORE, _restore, _restore_links, _restore_facts))
