"""What every view of the API shares: who may, which dataset, how bodies and queries are read, what the schema says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from datasets_app.api.authentication import TokenAuthentication
from datasets_app.api.errors import check_text
from datasets_app.api.paging import PageQuery, cut, decode_cursor
from datasets_app.api.parsers import StrictJsonParser
from datasets_app.api.renderers import FirstOfEach, OrjsonRenderer
from datasets_app.api.throttling import CallerThrottle, WorkThrottle
from datasets_app.domain.roles import Action, scopes_allow
from datasets_app.errors import UnknownDataset
from datasets_app.models import ApiToken, Branch, Dataset
from datasets_app.services import access
from datasets_app.services.versioning.refs import get_branch, get_dataset
from goldenproject.kit.errors import Forbidden


class GoldenView(APIView):
    """A view of the API.

    `actions` says for each method which right in the dataset of the address it takes. A dataset that the caller may
    not even view is not there (404); one that may be viewed and not so used is forbidden (403).
    """

    authentication_classes = [TokenAuthentication, SessionAuthentication]
    permission_classes = [IsAuthenticated]
    parser_classes = [StrictJsonParser]
    renderer_classes = [OrjsonRenderer]
    content_negotiation_class = FirstOfEach
    throttle_classes = [CallerThrottle, WorkThrottle]
    http_method_names = ["get", "post", "put", "patch", "delete", "head"]
    actions: ClassVar[Mapping[str, Action]] = {}

    dataset: Dataset

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        _check_address(request, kwargs)
        if "dataset" in kwargs:
            self.dataset = self.visible_dataset(kwargs["dataset"])
            method = "GET" if request.method == "HEAD" else str(request.method)
            if method in self.actions:
                self.require(self.actions[method], self.dataset)

    @property
    def token(self) -> ApiToken | None:
        return self.request.auth if isinstance(self.request.auth, ApiToken) else None

    def require(self, action: Action, dataset: Dataset | None = None) -> None:
        """Raise Forbidden unless the caller may do `action` in `dataset` (everywhere, when there is none)."""
        access.require(self.request.user, action, dataset, token=self.token)

    def allowed_datasets(self, action: Action = Action.VIEW) -> QuerySet[Dataset]:
        """Return the datasets in which the caller may do `action`. Raises Forbidden when the token rules it out."""
        if self.token is not None and not scopes_allow(self.token.scopes, action):
            raise Forbidden(f"This token's scopes {list(self.token.scopes)} do not allow “{action}”.")
        return access.allowed_datasets(self.request.user, action)

    def visible_dataset(self, name: str) -> Dataset:
        """Return a dataset that the caller may view. Raises UnknownDataset, the same for absent and hidden ones."""
        try:
            dataset = get_dataset(name)
        except UnknownDataset:
            dataset = None
        if dataset is None or not access.may(self.request.user, Action.VIEW, dataset):
            raise UnknownDataset(
                f"There is no dataset “{name}” that you may view.",
                hint="GET /api/v1/datasets lists those you may.",
            )
        return dataset

    def branch(self, name: str | None = None) -> Branch:
        """Return the branch that the query or the body names, by default the default branch."""
        return get_branch(self.dataset, name or None)

    def query(self, shape: type[serializers.Serializer]) -> dict[str, Any]:
        """Return the checked query parameters."""
        serializer = shape(data=self.request.query_params.dict())
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def body(self, shape: type[serializers.Serializer], *, partial: bool = False) -> dict[str, Any]:
        """Return the checked body; what the shape does not name is refused, because it is a slip."""
        data = self.request.data
        serializer = shape(data=data, partial=partial)
        serializer.is_valid(raise_exception=True)
        unknown = sorted(set(data) - set(serializer.fields))
        if unknown:
            known = ", ".join(name for name, field in serializer.fields.items() if not field.read_only)
            raise serializers.ValidationError(
                {name: [f"unknown field; expected {known}."] for name in unknown}
            )
        return dict(serializer.validated_data)

    def page_of_query(
        self,
        rows: QuerySet[Any],
        shape: type[serializers.Serializer],
        *,
        key: str,
        kind: type,
        newest_first: bool = False,
    ) -> Response:
        """Answer a page of `rows`, ordered by the unique column `key`."""
        query = self.query(PageQuery)
        after = decode_cursor(query["cursor"], kind)
        if after is not None:
            rows = rows.filter(**{f"{key}__{'lt' if newest_first else 'gt'}": after})
        found = list(rows.order_by(f"-{key}" if newest_first else key)[: query["limit"] + 1])
        page, cursor = cut(found, query["limit"], lambda row: getattr(row, key))
        return self.page(page, shape, cursor)

    def page(
        self,
        rows: Any,
        shape: type[serializers.Serializer],
        cursor: str | None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        return Response({"results": shape(rows, many=True).data, "next_cursor": cursor}, headers=headers)


def _check_address(request: Request, kwargs: Mapping[str, Any]) -> None:
    for name, value in kwargs.items():
        check_text(str(value), f"{name} in the address")
    for name, values in request.query_params.lists():
        for text in (name, *values):
            check_text(text, f"{name!r} in the query")


@extend_schema_field({})
class AnyJson(serializers.Field):
    """A JSON value, passed through: the parser has refused what golden data may not hold."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field({"type": "object", "additionalProperties": {}})
class JsonObject(AnyJson):
    """A JSON object."""

    default_error_messages = {"object": "Expected an object, found {found}."}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            self.fail("object", found=type(data).__name__)
        return data


class ErrorOut(serializers.Serializer):
    """What went wrong. `code` is stable; `message` and `hint` are for people."""

    code = serializers.CharField()
    message = serializers.CharField()
    hint = serializers.CharField(allow_blank=True)
    details = JsonObject()


_REASONS = {
    400: "The request is not acceptable.",
    401: "Who you are is not known.",
    403: "Your role or your token's scopes do not allow it.",
    404: "It does not exist, or you may not view it.",
    409: "The state of the data does not allow it now.",
    412: "It changed since you read it.",
    413: "The request is too large.",
    415: "The body is of another media type than this address takes.",
    429: "Too many requests; Retry-After says when to go on.",
    503: "The database cannot do it at the moment.",
}


def operation(
    name: str,
    summary: str,
    *,
    tag: str,
    answer: Any = None,
    body: Any = None,
    query: type[serializers.Serializer] | None = None,
    status: int | tuple[int, str] = 200,
    also: Mapping[Any, Any] | None = None,
    headers: tuple[OpenApiParameter, ...] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Describe one operation in the schema: its shapes, and the one shape of all errors."""
    responses: dict[Any, Any] = {status: answer, **(also or {})}
    for code in _REASONS:
        if code != 412 or headers:
            responses.setdefault(code, ErrorOut)
    return extend_schema(
        operation_id=name,
        summary=summary,
        tags=[tag],
        request=body,
        parameters=[*([query] if query is not None else []), *headers],
        responses=responses,
    )
