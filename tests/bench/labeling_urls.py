"""The site's addresses, and the yardstick: a row read by its primary key through the same stack."""

from __future__ import annotations

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import GoldenView
from datasets_app.models import Example
from goldenproject.urls import urlpatterns as site


class ByKeyView(GoldenView):
    """The same authentication, throttles and renderer as every view of the API, and one SELECT by primary key."""

    def get(self, request: Request, key: int) -> Response:
        columns = ("id", "identity_id", "input_data", "expected_output")
        return Response(Example.objects.values(*columns).get(pk=key))


urlpatterns = [path("bench/by-key/<int:key>", ByKeyView.as_view()), *site]
