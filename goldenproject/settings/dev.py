"""One machine, one team: what `make run` uses. Safe by default: not in debug mode unless GOLDEN_DEBUG=yes."""

from __future__ import annotations

import os

from goldenproject.settings import environment
from goldenproject.settings.base import *  # noqa: F403
from goldenproject.settings.base import GOLDEN_DATA_DIR, STATIC_ROOT

DEBUG = environment.flag("GOLDEN_DEBUG", default=False)
SECRET_KEY = os.environ.get("GOLDEN_SECRET_KEY") or environment.kept_secret(GOLDEN_DATA_DIR / "secret-key")
ALLOWED_HOSTS = environment.words("GOLDEN_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # whitenoise warns when it is missing
# served straight from the packages: no collectstatic needed before the first start
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
SESSION_COOKIE_NAME = "golden_session"
CSRF_COOKIE_NAME = "golden_csrf"
CSRF_TRUSTED_ORIGINS = environment.words("GOLDEN_TRUSTED_ORIGINS")
