"""A server behind TLS. Refuses to start without a secret key and the host names that it answers to."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from goldenproject.settings import environment
from goldenproject.settings.base import *  # noqa: F403

SECRET_KEY = environment.required("GOLDEN_SECRET_KEY", "a random secret of at least 50 characters")
environment.required("GOLDEN_ALLOWED_HOSTS", "host names separated by commas, such as golden.example.org")
ALLOWED_HOSTS = environment.words("GOLDEN_ALLOWED_HOSTS")
if "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured(
        "GOLDEN_ALLOWED_HOSTS: found '*', expected host names: any host would be believed."
    )

CSRF_TRUSTED_ORIGINS = environment.words(
    "GOLDEN_TRUSTED_ORIGINS", ",".join(f"https://{host.lstrip('.')}" for host in ALLOWED_HOSTS)
)
SECURE_SSL_REDIRECT = environment.flag("GOLDEN_TLS_REDIRECT", default=True)
# only where a proxy in front sets the header itself: a client could send it too
if environment.flag("GOLDEN_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = environment.number("GOLDEN_HSTS_SECONDS", 31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SESSION_COOKIE_NAME = "__Host-golden_session"
CSRF_COOKIE_NAME = "__Host-golden_csrf"

STORAGES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
