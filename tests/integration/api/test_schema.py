"""The schema is valid, the API keeps it under generated requests, and its page needs nothing from outside."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import schemathesis
from django.contrib.auth import get_user_model
from django.core.wsgi import get_wsgi_application
from drf_spectacular.validation import validate_schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from datasets_app.api.site import schema_bytes
from datasets_app.models import Dataset
from datasets_app.services.access.tokens import create_token
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.curation.types import get_type
from datasets_app.services.versioning.commits import commit
from datasets_app.services.versioning.refs import create_tag
from labeling_app.services.leasing import next_examples
from labeling_app.services.queues import create_queue
from labeling_app.services.sessions import start_session

from .conftest import Api, text_row
from .test_roles import TABLE

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
THERE = {
    "dataset": "texts",
    "ref": "v1",
    "branch": "main",
    "example": "t1",
    "tag": "v1",
    "name": "contact_tier",
}
METHODS = {"get", "post", "put", "patch", "delete"}


def test_schema__as_served__is_valid_and_has_every_operation(db: None) -> None:
    answer = Api().get("schema/")
    assert answer["Content-Type"] == "application/vnd.oai.openapi+json"
    schema = answer.json()
    validate_schema(schema)
    described = {
        operation["operationId"]
        for path in schema["paths"].values()
        for method, operation in path.items()
        if method in METHODS
    }
    undescribed = {"schema", "docs"}
    assert len(described) == sum(len(methods) for name, methods in TABLE.items() if name not in undescribed)


def test_schema__every_operation__tells_its_errors_in_the_one_shape(db: None) -> None:
    schema = json.loads(schema_bytes())
    for path in schema["paths"].values():
        for method, operation in path.items():
            if method in METHODS:
                for code in ("400", "401", "403", "404", "409", "413", "429", "503"):
                    shape = operation["responses"][code]["content"]["application/json"]["schema"]
                    assert shape == {"$ref": "#/components/schemas/ErrorOut"}


def test_docs__page__loads_files_of_this_site_and_no_inline_script(db: None) -> None:
    answer = Api().get("docs/")
    page = answer.content.decode()
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert addresses
    assert all(address.startswith("/") for address in addresses), addresses
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    script = Api().get("docs/?script=")
    assert script["Content-Type"].startswith("application/javascript")
    assert "/api/v1/schema/" in script.content.decode()


@pytest.mark.slow
def test_api__generated_requests__are_answered_as_the_schema_says(committed_db: str) -> None:
    user = get_user_model().objects.create_superuser("fuzz")
    dataset = create_dataset(name="texts", actor=None, default_type=get_type("text_classification"))
    bulk_upsert(branch=dataset.main, documents=[text_row(n) for n in (1, 2, 3)], actor=None)
    commit(branch=dataset.main, message="first", actor=None, author="tests")
    create_tag(dataset=dataset, name="v1", actor=None)
    there = {**THERE, **_labeling(dataset, user)}
    token = create_token(user=user, name="fuzz", scopes=["admin"], actor=user)[1]
    schema = schemathesis.openapi.from_wsgi("/api/v1/schema/", get_wsgi_application())
    for found in schema.get_all_operations():
        operation = found.ok()
        _check(operation, token, there)


def _labeling(dataset: Dataset, user: Any) -> dict[str, str]:
    """Make a queue with somebody who holds an example of it."""
    queue = create_queue(dataset=dataset, name="topics", actor=None)
    session = start_session(labeler=user, queue=queue)
    (task,) = next_examples(session=session)
    return {"queue": str(queue.pk), "session": str(session.pk), "lease": str(task.lease)}


def _check(operation: Any, token: str, there: dict[str, str]) -> None:
    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), known=st.booleans())
    def check(case: Any, known: bool) -> None:
        # what the other operations need must stay: it is neither removed nor renamed
        if known and case.method != "DELETE":
            if operation.label == "PATCH /api/v1/datasets/{dataset}" and isinstance(case.body, dict):
                case.body.pop("name", None)
            case.path_parameters = {
                name: there.get(name, value) for name, value in (case.path_parameters or {}).items()
            }
        if case.path == "/api/v1/tokens/{key}":
            case.path_parameters = {"key": "f" * 15}  # not the one that the test itself uses
        case.headers["Authorization"] = f"Token {token}"
        case.validate_response(case.call(), checks=CHECKS)

    check()
