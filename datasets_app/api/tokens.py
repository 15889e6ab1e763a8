"""One's own API tokens."""

from __future__ import annotations

from datetime import timedelta

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import GoldenView, operation
from datasets_app.api.paging import PageQuery, cut, decode_cursor, paged
from datasets_app.domain.roles import SCOPES
from datasets_app.models import ApiToken
from datasets_app.services.access.tokens import LONGEST, create_token, revoke_token
from goldenproject.kit.errors import Forbidden, NotFound


class TokenOut(serializers.Serializer):
    """A token, without its secret. `key` is its beginning, which names it."""

    key = serializers.CharField(source="token_key")
    name = serializers.CharField(allow_blank=True)
    scopes = serializers.ListField(child=serializers.CharField())
    created = serializers.DateTimeField()
    expiry = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)


class NewTokenOut(TokenOut):
    """A new token. `token` is its secret: shown now and never again."""

    token = serializers.CharField()


class TokenCreate(serializers.Serializer):
    """A new token for yourself. It never allows more than you may do."""

    name = serializers.CharField(max_length=120)
    scopes = serializers.ListField(child=serializers.ChoiceField(list(SCOPES)), allow_empty=False)
    expires_in_days = serializers.IntegerField(min_value=1, max_value=LONGEST.days, required=False)


class TokensView(GoldenView):
    """A token that could make tokens could outlive its scopes: it takes a session, or the scope admin."""

    @operation("tokens_list", "Your tokens", tag="tokens", query=PageQuery, answer=paged(TokenOut))
    def get(self, request: Request) -> Response:
        _refuse_narrow(self)
        query = self.query(PageQuery)
        rows = ApiToken.objects.filter(user=request.user).order_by("digest")
        after = decode_cursor(query["cursor"], str)
        rows = rows.filter(digest__gt=after) if after is not None else rows
        page, cursor = cut(list(rows[: query["limit"] + 1]), query["limit"], lambda token: token.digest)
        return self.page(page, TokenOut, cursor)

    @operation(
        "tokens_create", "Make a token", tag="tokens", body=TokenCreate, answer=NewTokenOut, status=201
    )
    def post(self, request: Request) -> Response:
        _refuse_narrow(self)
        body = self.body(TokenCreate)
        days = body.get("expires_in_days")
        token, secret = create_token(
            user=request.user,
            name=body["name"],
            scopes=body["scopes"],
            actor=request.user,
            expires_in=None if days is None else timedelta(days=days),
        )
        return Response({**TokenOut(token).data, "token": secret}, status=201)


class TokenView(GoldenView):
    @operation("tokens_revoke", "Revoke a token", tag="tokens", status=204)
    def delete(self, request: Request, key: str) -> Response:
        _refuse_narrow(self, key)
        token = ApiToken.objects.filter(user=request.user, token_key=key).first()
        if token is None:
            raise NotFound(f"You have no token {key}.")
        revoke_token(token=token, actor=request.user)
        return Response(status=204)


def _refuse_narrow(view: GoldenView, key: str = "") -> None:
    """Let a token without the scope admin do no more than revoke itself."""
    if view.token is not None and "admin" not in view.token.scopes and view.token.token_key != key:
        raise Forbidden(
            "A token manages tokens only with the scope “admin”.", hint="Sign in, or use such a token."
        )
