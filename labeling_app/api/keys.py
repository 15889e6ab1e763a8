"""The keys of the labeling console that one chose."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import operation
from labeling_app.api.base import QueueView
from labeling_app.services.keys import keys_of, save_keys


class KeysOut(serializers.Serializer):
    """Action of the console → key."""

    keys = serializers.DictField(child=serializers.CharField(max_length=40, allow_blank=True))


class KeysView(QueueView):
    @operation("labeling_keys_read", "Your keys of the labeling console", tag="labeling", answer=KeysOut)
    def get(self, request: Request) -> Response:
        return Response({"keys": keys_of(request.user)})

    @operation(
        "labeling_keys_write",
        "Choose keys; those that are left out are the console's own",
        tag="labeling",
        body=KeysOut,
        answer=KeysOut,
    )
    def put(self, request: Request) -> Response:
        return Response({"keys": save_keys(person=request.user, keys=self.body(KeysOut)["keys"])})
