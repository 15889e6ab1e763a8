"""Every address of the API with every role, against one table."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import URLResolver, get_resolver

from datasets_app.domain.roles import ALLOWED, SCOPES, Action, Role, scopes_allow
from datasets_app.models import Dataset, DatasetCommit, Membership

from .conftest import Api

pytestmark = pytest.mark.django_db

ANYBODY = "anybody"  # also without a token
KNOWN = "known"  # every user, whatever the role
NEVER = "00000000-0000-4000-8000-000000000000"

# name of the address → method → what it takes. An Action counts in the dataset, or everywhere where none is in the address.
TABLE: dict[str, dict[str, Action | str]] = {
    "health": {"GET": ANYBODY},
    "schema": {"GET": ANYBODY},
    "docs": {"GET": ANYBODY},
    "whoami": {"GET": KNOWN},
    "tokens": {"GET": KNOWN, "POST": KNOWN},
    "token": {"DELETE": KNOWN},
    "jobs": {"GET": KNOWN},
    "job": {"GET": KNOWN},
    "types": {"GET": KNOWN, "POST": Action.MANAGE},
    "type": {"GET": KNOWN, "PATCH": Action.MANAGE},
    "datasets": {"GET": KNOWN, "POST": Action.EDIT},
    "dataset": {"GET": Action.VIEW, "PATCH": Action.EDIT},
    "members": {"GET": Action.MANAGE, "POST": Action.MANAGE},
    "member": {"PATCH": Action.MANAGE, "DELETE": Action.MANAGE},
    "examples": {"GET": Action.VIEW, "POST": Action.EDIT},
    "example": {"GET": Action.VIEW, "PATCH": Action.REVIEW, "DELETE": Action.EDIT},
    "blame": {"GET": Action.VIEW},
    "example-history": {"GET": Action.VIEW},
    "bulk": {"POST": Action.IMPORT},
    "imports": {"GET": Action.IMPORT, "POST": Action.IMPORT},
    "import": {"GET": Action.IMPORT, "DELETE": Action.IMPORT},
    "import-rows": {"GET": Action.IMPORT},
    "import-apply": {"POST": Action.IMPORT},
    "status": {"GET": Action.VIEW},
    "commits": {"GET": Action.VIEW, "POST": Action.COMMIT},
    "commit": {"GET": Action.VIEW},
    "diff": {"GET": Action.VIEW},
    "checkout": {"POST": Action.EDIT},
    "branches": {"GET": Action.VIEW, "POST": Action.COMMIT},
    "branch": {"GET": Action.VIEW, "DELETE": Action.COMMIT},
    "worktree": {"PUT": Action.COMMIT, "DELETE": Action.COMMIT},
    "tags": {"GET": Action.VIEW, "POST": Action.TAG},
    "tag": {"GET": Action.VIEW, "DELETE": Action.TAG},
    "merges": {"GET": Action.VIEW, "POST": Action.MERGE},
    "merge": {"GET": Action.VIEW},
    "revert": {"POST": Action.MERGE},
    "conflicts": {"GET": Action.VIEW, "POST": Action.MERGE},
    "conflict": {"PUT": Action.MERGE},
    "merge-complete": {"POST": Action.MERGE},
    "merge-abort": {"POST": Action.MERGE},
    "version-examples": {"GET": Action.VIEW},
    "version-example": {"GET": Action.VIEW},
    "version-stream": {"GET": Action.VIEW},
    "corpora": {"GET": Action.VIEW, "POST": Action.EDIT},
    "corpus": {"GET": Action.VIEW, "PATCH": Action.EDIT},
    "corpus-bulk": {"POST": Action.IMPORT},
    "analyses": {"GET": Action.VIEW, "POST": Action.EDIT},
    "analysis": {"GET": Action.VIEW, "PATCH": Action.EDIT, "DELETE": Action.EDIT},
    "chunks": {"GET": Action.VIEW},
    "chunk": {"GET": Action.VIEW, "PATCH": Action.EDIT},
    "queries": {"GET": Action.VIEW, "POST": Action.EDIT},
    "query": {"GET": Action.VIEW, "PATCH": Action.EDIT, "DELETE": Action.EDIT},
    "search": {"POST": Action.VIEW},
    "runs": {"GET": Action.VIEW, "POST": Action.EDIT},
    "run": {"GET": Action.VIEW},
    "run-results": {"GET": Action.VIEW},
    "run-comparison": {"GET": Action.VIEW},
    "embedding-models": {"GET": Action.VIEW, "POST": Action.MANAGE},
    "embedding-model": {"GET": Action.VIEW, "DELETE": Action.MANAGE},
    "embedding-model-current": {"POST": Action.MANAGE},
    "embedding-model-embed": {"POST": Action.EDIT},
    "backups": {"GET": Action.BACKUP, "POST": Action.BACKUP},
    "backup-archives": {"GET": Action.BACKUP},
    "backup-download": {"GET": Action.BACKUP},
    "backup-verify": {"POST": Action.BACKUP},
    "restores": {"GET": Action.BACKUP, "POST": Action.RESTORE},
    # labeling: an Action counts in the dataset of the queue; who has it nowhere at all is told so
    "label-queues": {"GET": KNOWN, "POST": Action.EDIT},
    "label-queue": {"GET": KNOWN, "PATCH": Action.EDIT},
    "label-refresh": {"POST": Action.EDIT},
    "label-progress": {"GET": KNOWN},
    "label-members": {"PUT": Action.EDIT},
    "label-assign": {"POST": Action.EDIT},
    "label-items": {"GET": Action.REVIEW},
    "label-sessions": {"POST": Action.LABEL},
    "label-my-labels": {"GET": Action.LABEL},
    "label-labels": {"GET": Action.REVIEW},
    "label-history": {"GET": Action.REVIEW},
    "label-next": {"POST": Action.LABEL},
    "label-heartbeat": {"POST": Action.LABEL},
    "label-end": {"POST": Action.LABEL},
    "label-submit": {"POST": Action.LABEL},
    "label-skip": {"POST": Action.LABEL},
    "label-undo-skip": {"POST": Action.LABEL},
    "label-flag": {"POST": Action.LABEL},
    "label-draft": {"POST": Action.LABEL},
    "label-release": {"POST": Action.LABEL},
    "label-undo": {"POST": Action.LABEL},
    "label-flag-label": {"POST": Action.LABEL},
    "label-gold": {"GET": Action.REVIEW, "PUT": Action.REVIEW, "DELETE": Action.REVIEW},
    "label-gold-promote": {"POST": Action.REVIEW},
    "label-scorecards": {"GET": Action.REVIEW},
    "label-pause": {"POST": Action.REVIEW},
    "label-go-on": {"POST": Action.REVIEW},
    "label-suggestions": {"PUT": Action.IMPORT, "DELETE": Action.IMPORT},
    "label-agreement": {"GET": Action.REVIEW},
    "label-method": {"GET": Action.REVIEW},
    "label-consensus": {"GET": Action.REVIEW, "POST": Action.REVIEW},
    "label-errors": {"POST": Action.REVIEW},
    "label-reorder": {"POST": Action.REVIEW},
    "label-similar": {"GET": Action.REVIEW},
    "label-bulk": {"GET": Action.REVIEW, "POST": Action.REVIEW},
    "label-bulk-undo": {"POST": Action.REVIEW},
    "label-reviews": {"GET": Action.REVIEW},
    "label-review": {"GET": Action.REVIEW},
    "label-claim": {"POST": Action.REVIEW},
    "label-release-review": {"POST": Action.REVIEW},
    "label-decide": {"POST": Action.REVIEW},
    "label-undo-decision": {"POST": Action.REVIEW},
    "label-keys": {"GET": KNOWN, "PUT": KNOWN},
    "webhooks": {"GET": Action.MANAGE, "POST": Action.MANAGE},
    "webhook": {"GET": Action.MANAGE, "PATCH": Action.MANAGE, "DELETE": Action.MANAGE},
    "webhook-rotate": {"POST": Action.MANAGE},
    "webhook-test": {"POST": Action.MANAGE},
    "webhook-deliveries": {"GET": Action.MANAGE},
    "webhook-resend": {"POST": Action.MANAGE},
}
API_APPS = ("api", "exports_api", "labeling_api")
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
ARGUMENTS = {
    "dataset": "texts",
    "example": "t1",
    "member": "1",
    "batch": NEVER,
    "ref": "v1",
    "branch": "nowhere",
    "tag": "nothing",
    "merge": "1",
    "conflict": "1",
    "job": NEVER,
    "name": "text_classification",
    "key": "0123456789abcde",
    "corpus": "nowhere",
    "analysis": NEVER,
    "chunk": NEVER,
    "query": NEVER,
    "run": "1",
    "base": "2",
    "model": "no-such-model",
    "queue": NEVER,
    "session": NEVER,
    "lease": NEVER,
    "label": "1",
    "bulk": NEVER,
    "review": "1",
    "webhook": NEVER,
    "delivery": NEVER,
}
ALLOWED_THROUGH = {200, 201, 202, 204, 400, 404, 409, 415}


def addresses() -> dict[str, str]:
    """Name → path with example arguments, of every route that the API has."""
    found = {}
    for resolver in get_resolver().url_patterns:
        if isinstance(resolver, URLResolver) and getattr(resolver, "app_name", None) in API_APPS:
            for pattern in resolver.url_patterns:
                path = str(pattern.pattern)
                for argument in pattern.pattern.converters:
                    for kind in ("str", "slug", "path", "uuid", "int"):
                        path = path.replace(f"<{kind}:{argument}>", ARGUMENTS[argument])
                found[pattern.name] = path
    return found


def test_table__has_every_address_and_no_other() -> None:
    assert set(addresses()) == set(TABLE)


def _expected(rule: Action | str | None, role: Role | None, *, in_dataset: bool) -> set[int]:
    if rule is None:
        return {405} if role is not None and (not in_dataset or Action.VIEW in ALLOWED[role]) else {404, 405}
    if rule in (ANYBODY, KNOWN):
        return ALLOWED_THROUGH
    allowed = ALLOWED[role] if role is not None else frozenset()
    if rule in allowed:
        return ALLOWED_THROUGH
    return {404} if in_dataset and Action.VIEW not in allowed else {403}


# each walks every address, which takes seconds: those at the borders are always run, the others with the slow tests
@pytest.mark.parametrize(
    ("role", "how"),
    [
        (None, "everywhere"),
        (Role.LABELER, "member"),
        (Role.REVIEWER, "everywhere"),
        *(
            pytest.param(role, how, marks=pytest.mark.slow)
            for role, how in (
                *((role, "everywhere") for role in Role if role != Role.REVIEWER),
                (Role.CURATOR, "member"),
            )
        ),
    ],
)
def test_every_address__with_a_role__allows_what_the_table_says(
    api_of: Any, person: Any, first: DatasetCommit, role: Role | None, how: str
) -> None:
    caller = api_of(role.value if role and how == "everywhere" else None, name="caller")
    if role and how == "member":
        Membership.objects.create(dataset=first.dataset, user=person("caller"), role=role)
    for name, path in addresses().items():
        in_dataset = path.startswith("datasets/")
        somewhere = in_dataset or path.startswith("labeling/")
        here = role if how == "everywhere" or somewhere else None
        for method in METHODS if role == Role.CURATOR and how == "everywhere" else TABLE[name]:
            rule = TABLE[name].get(method)
            answer = caller.call(method, path, {} if method != "GET" else None)
            expected = _expected(rule, here, in_dataset=in_dataset)
            assert answer.status_code in expected, (
                role,
                method,
                path,
                answer.status_code,
                answer.content[:300],
            )
            if answer.status_code == 404 and expected == {404} and in_dataset:
                assert answer.json()["code"] == "unknown_dataset"


def test_every_address__anonymous__is_401_but_for_the_open_ones(first: DatasetCommit) -> None:
    for name, path in addresses().items():
        for method in METHODS:
            rule = TABLE[name].get(method)
            answer = Api().call(method, path, {} if method != "GET" else None)
            if rule == ANYBODY:
                assert answer.status_code == 200, path
            elif ANYBODY in TABLE[name].values():
                assert answer.status_code == 405, path
            else:
                assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated"), (
                    method,
                    path,
                )
                assert answer["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize(
    "scope",
    [scope if scope == "read" else pytest.param(scope, marks=pytest.mark.slow) for scope in SCOPES],
)
def test_every_address__administrator_with_one_scope__is_bounded_by_it(
    api_of: Any, first: DatasetCommit, scope: str
) -> None:
    caller = api_of("administrator", scopes=[scope])
    for name, path in addresses().items():
        for method, rule in TABLE[name].items():
            answer = caller.call(method, path, {} if method != "GET" else None)
            if isinstance(rule, Action):
                allowed = scopes_allow([scope], rule)
                assert (answer.status_code != 403) == allowed, (method, path, answer.content[:300])


def test_hidden_dataset__answers__as_if_it_were_absent(api_of: Any, first: DatasetCommit) -> None:
    stranger = api_of(None)
    hidden = stranger.get("datasets/texts").json()
    absent = stranger.get("datasets/other").json()
    assert hidden["message"].replace("texts", "other") == absent["message"]
    assert (hidden["code"], hidden["hint"], hidden["details"]) == (
        absent["code"],
        absent["hint"],
        absent["details"],
    )
    assert stranger.get("datasets").json()["results"] == []


def test_create_from_parent__of_a_hidden_dataset__is_not_there(
    api_of: Any, person: Any, first: DatasetCommit
) -> None:
    # a curator everywhere sees all; only a token without the scope read is kept from copying
    writer = api_of("curator", scopes=["write"])
    answer = writer.post("datasets", {"name": "copy", "parent_version": "texts@v1"})
    assert answer.status_code == 403
    assert not Dataset.objects.filter(name="copy").exists()


def test_session__without_csrf_token__may_read_and_not_write(person: Any, first: DatasetCommit) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person("browser", "curator"), backend="django.contrib.auth.backends.ModelBackend")
    browser = Api(client=client)
    assert browser.get("datasets/texts").status_code == 200
    answer = browser.post("datasets/texts/commits", {"message": "x"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "CSRF" in answer.json()["message"]
