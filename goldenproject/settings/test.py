"""Settings for pytest: fast hashing, no lock-out, no limits of rate; the database is the affair of tests/conftest.py."""

from __future__ import annotations

import copy

from goldenproject.settings.base import *  # noqa: F403
from goldenproject.settings.base import AUTHENTICATION_BACKENDS, DATABASES, REST_FRAMEWORK

SECRET_KEY = "for-tests-only"  # noqa: S105
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
AUTHENTICATION_BACKENDS = [name for name in AUTHENTICATION_BACKENDS if not name.startswith("axes.")]
AXES_ENABLED = False
REST_FRAMEWORK = copy.deepcopy(REST_FRAMEWORK)
REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"] = dict.fromkeys(REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"])
WHITENOISE_USE_FINDERS = True
DATABASES = copy.deepcopy(DATABASES)
DATABASES["default"]["CONN_MAX_AGE"] = 0
DATABASES["default"]["OPTIONS"].pop("pool", None)
