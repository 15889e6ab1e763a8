"""golden_embed: make the vectors that are missing; list, register, switch and delete embedding models."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.errors import EmbeddingRuns, EmbeddingTrouble
from datasets_app.management.dataset_command import allow, line, lines
from datasets_app.models import EmbeddingModel
from datasets_app.services.retrieval.embedding import EmbedReport, embed_missing, prune
from datasets_app.services.retrieval.embedding_models import (
    coverage,
    delete_model,
    get_model,
    register_model,
    switch_current,
)
from datasets_app.services.retrieval.example_vectors import embed_examples, prune_example_vectors
from datasets_app.services.retrieval.refreshing import refresh_lexical_indexes
from datasets_app.services.retrieval.vector_index import index_state
from datasets_app.services.versioning.refs import get_branch, get_dataset
from goldenproject.kit.commands import GoldenCommand, Outcome, UsageError


class Command(GoldenCommand):
    help = (
        "Make the vectors that the current embedding model (or --model, or --all-models) lacks, and its index; "
        "bring changed chunks into the lexical index. "
        "It may be stopped at any time; the next run goes on."
    )

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--model", metavar="NAME", help="this model (default: the current one)")
        which.add_argument(
            "--all-models",
            action="store_true",
            help="every model, one after the other; one that fails stops no other",
        )
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--status", action="store_true", help="only show how far each model is")
        what.add_argument(
            "--examples",
            metavar="DATASET[@BRANCH]",
            help="only make the vectors of the examples of this dataset: what the labeling console compares",
        )
        what.add_argument(
            "--prune", action="store_true", help="only delete the vectors of texts and examples that are gone"
        )
        what.add_argument(
            "--register", metavar="NAME", help="add a model; it is asked for its dimension at once"
        )
        what.add_argument(
            "--switch",
            metavar="NAME",
            help="make this model the current one; refused until it has all vectors",
        )
        what.add_argument("--delete", metavar="NAME", help="delete a model with its vectors")
        parser.add_argument(
            "--provider",
            choices=EmbeddingModel.Provider.values,
            help="with --register: where the vectors come from (default: openai)",
        )
        parser.add_argument(
            "--option",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="with --register, repeatable: base_url, model, api_key_env, batch_size …",
        )
        parser.add_argument("--yes", action="store_true", help="with --delete: do not ask")

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        self._check_usage(options)
        if options["status"]:
            return _status(actor, options)
        if options["examples"]:
            return self._embed_examples(actor, options)
        if options["prune"]:
            return _prune(actor, options)
        if options["register"]:
            return _register(actor, options)
        if options["switch"]:
            model = switch_current(model=get_model(options["switch"]), actor=actor)
            return Outcome(_document(model), line(f"Searches use “{model.name}” from now on."))
        if options["delete"]:
            return self._delete(actor, options)
        return self._embed(actor, options)

    @staticmethod
    def _check_usage(options: dict[str, Any]) -> None:
        if not options["register"] and (options["provider"] or options["option"]):
            raise UsageError("--provider and --option say something with --register only.")
        named = options["register"] or options["switch"] or options["delete"]
        if named and (options["model"] or options["all_models"]):
            raise UsageError("--model and --all-models say nothing with --register, --switch or --delete.")

    def _embed(self, actor: Any, options: dict[str, Any]) -> Outcome:
        allow(actor, Action.EDIT, None)
        with self.progress("Indexing words") as progress:
            refreshed = refresh_lexical_indexes(progress)
        reports, failed = [], []
        for model in _chosen(options):
            try:
                with self.progress(f"Embedding with {model.name}") as progress:
                    reports.append(embed_missing(model=model, actor=actor, progress=progress))
            except (EmbeddingTrouble, EmbeddingRuns) as error:
                if not options["all_models"]:
                    raise
                failed.append({"model": model.name, **error.as_dict()})
                self.stderr.write(f"{model.name}: {error}")
        for report in reports:
            for warning in report.warnings:
                self.stderr.write(f"Warning: {warning}")
        return Outcome(
            {
                "corpora_indexed": refreshed,
                "models": [report.document() for report in reports],
                "failed": failed,
            },
            lines(_told(report) for report in reports),
            exit_code=1 if failed else 0,
        )

    def _embed_examples(self, actor: Any, options: dict[str, Any]) -> Outcome:
        name, _, branch_name = options["examples"].partition("@")
        branch = get_branch(get_dataset(name), branch_name or None)
        reports = []
        for model in _chosen(options):
            with self.progress(f"Embedding with {model.name}") as progress:
                reports.append(embed_examples(branch=branch, model=model, actor=actor, progress=progress))
        return Outcome(
            {
                "dataset": branch.dataset.name,
                "branch": branch.name,
                "models": [one.document() for one in reports],
            },
            lines(
                line((one.model, "bold"), f"  {one.embedded} examples embedded, {one.present} there before")
                for one in reports
            ),
        )

    def _delete(self, actor: Any, options: dict[str, Any]) -> Outcome:
        model = get_model(options["delete"])
        stored = coverage(model).stored
        self.confirm(f"Delete the model “{model.name}” with {stored} vectors?", yes=options["yes"])
        delete_model(model=model, actor=actor)
        return Outcome(
            {"model": model.name, "deleted": stored},
            line(f"Deleted the model “{model.name}” with {stored} vectors."),
        )


def _chosen(options: dict[str, Any]) -> list[EmbeddingModel]:
    if options["all_models"]:
        return list(EmbeddingModel.objects.order_by("-is_current", "name"))
    return [get_model(options["model"])]


def _told(report: EmbedReport) -> Any:
    rate = f", {report.embedded / report.seconds:.0f} a second" if report.embedded and report.seconds else ""
    return line(
        (report.model, "bold"),
        f"  {report.embedded} embedded{rate}, {report.present} there before, index: {report.index}",
    )


def _status(actor: Any, options: dict[str, Any]) -> Outcome:
    allow(actor, Action.VIEW, None)
    models = [get_model(options["model"])] if options["model"] else list(EmbeddingModel.objects.all())
    documents = [_document(model) for model in models]
    return Outcome({"models": documents}, lines(_status_line(document) for document in documents))


def _status_line(document: dict[str, Any]) -> Any:
    missing = document["missing"]
    return line(
        (document["model"], "bold"),
        (" (current)", "green") if document["current"] else "",
        f"  {document['provider']}, {document['dimension']} dimensions  {document['embedded']} of {document['texts']} texts",
        (f", {missing} missing", "yellow") if missing else "",
        f", {document['unused']} unused vectors" if document["unused"] else "",
        f"  index: {document['index']}",
    )


def _document(model: EmbeddingModel) -> dict[str, Any]:
    found = coverage(model)
    return {
        "model": model.name,
        "provider": model.provider,
        "dimension": model.dimension,
        "current": model.is_current,
        "texts": found.texts,
        "embedded": found.embedded,
        "missing": found.missing,
        "unused": found.unused,
        "index": index_state(model).value,
    }


def _prune(actor: Any, options: dict[str, Any]) -> Outcome:
    deleted = {
        model.name: prune(model=model, actor=actor) + prune_example_vectors(model=model, actor=actor)
        for model in _chosen(options)
    }
    return Outcome(
        {"deleted": deleted},
        lines(line((name, "bold"), f"  {count} unused vectors deleted") for name, count in deleted.items()),
    )


def _register(actor: Any, options: dict[str, Any]) -> Outcome:
    model = register_model(
        name=options["register"],
        provider=options["provider"] or EmbeddingModel.Provider.OPENAI,
        options=dict(map(_option, options["option"])),
        actor=actor,
    )
    return Outcome(
        _document(model),
        line(
            f"Registered “{model.name}” with {model.dimension} dimensions. "
            f"Its vectors: golden_embed --model {model.name}"
        ),
    )


def _option(text: str) -> tuple[str, Any]:
    """Return (key, value); the value is JSON where it is a number, true, false or in quotes, else text as it stands."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--option {text}: expected KEY=VALUE, for example batch_size=32.")
    try:
        found = json.loads(value)
    except ValueError:
        found = value
    return key.strip(), found if isinstance(found, (str, int, float)) else value
