"""What all settings share. Every variable that is read is listed in the README."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE

from goldenproject.database import data_dir, django_databases
from goldenproject.settings import environment
from goldenproject.settings.unfold import UNFOLD as UNFOLD

BASE_DIR = Path(__file__).resolve().parent.parent.parent
GOLDEN_DATA_DIR = data_dir(BASE_DIR, os.environ)

DEBUG = False
ALLOWED_HOSTS: list[str] = []
ROOT_URLCONF = "goldenproject.urls"
WSGI_APPLICATION = "goldenproject.wsgi.application"
ASGI_APPLICATION = "goldenproject.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "unfold",  # before django.contrib.admin, whose templates it replaces
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.import_export",
    "unfold.contrib.simple_history",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "simple_history",
    "import_export",
    "django_htmx",
    "knox",
    "axes",
    "csp",
    "procrastinate.contrib.django",
    "datasets_app",
    "labeling_app",
    "exports_app",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it turns a locked-out sign-in into its answer
]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- the database -------------------------------------------------------------------------------------------------
DATABASES = django_databases(BASE_DIR, os.environ)
# statements that every label goes through are prepared; no: behind a pooler that gives each transaction another session
GOLDEN_DB_PREPARE = environment.flag("GOLDEN_DB_PREPARE", default=True)

# --- language and time --------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
USE_I18N = True
FORMAT_MODULE_PATH = "goldenproject.formats"
USE_TZ = True
TIME_ZONE = "UTC"

# --- files and sizes ----------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = Path(environment.text("GOLDEN_STATIC_ROOT", str(GOLDEN_DATA_DIR / "static")))
MEDIA_ROOT = GOLDEN_DATA_DIR / "media"
GOLDEN_BACKUP_DIR = Path(environment.text("GOLDEN_BACKUP_DIR", str(GOLDEN_DATA_DIR / "backup")))
GOLDEN_EXPORT_CACHE_MB = environment.number("GOLDEN_EXPORT_CACHE_MB", 4000)  # finished exports that are kept
FILE_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024  # a larger upload goes to a temporary file
# one request body outside of file uploads; the API's bulk calls are bounded by this too
DATA_UPLOAD_MAX_MEMORY_SIZE = environment.number("GOLDEN_MAX_REQUEST_MB", 20) * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000  # bulk actions on many rows of a list
GOLDEN_MAX_UPLOAD_BYTES = environment.number("GOLDEN_MAX_UPLOAD_MB", 512) * 1024 * 1024

# --- sources of the corpus ----------------------------------------------------------------------------------------
# more of what no source's URL may match
GOLDEN_URL_PLACEHOLDERS = environment.patterns("GOLDEN_URL_PLACEHOLDERS")
GOLDEN_SOURCE_PORTS = environment.words("GOLDEN_SOURCE_PORTS", "80,443")  # on which sources are fetched again

# --- people -------------------------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: it refuses the locked out before a password is looked at
    "django.contrib.auth.backends.ModelBackend",
    "datasets_app.services.access.MembershipBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
AXES_FAILURE_LIMIT = environment.number("GOLDEN_LOGIN_TRIES", 10)
AXES_COOLOFF_TIME = timedelta(minutes=environment.number("GOLDEN_LOGIN_LOCK_MINUTES", 15))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False

# --- history: triggers in the database write it, so that no write path escapes ------------------------------------
SIMPLE_HISTORY_ENABLED = False
SIMPLE_HISTORY_DATE_INDEX = False

# --- the API ------------------------------------------------------------------------------------------------------
KNOX_TOKEN_MODEL = "datasets_app.ApiToken"  # noqa: S105 - the name of a model
REST_KNOX = {
    "TOKEN_TTL": timedelta(days=environment.number("GOLDEN_TOKEN_DAYS", 90)),
    "TOKEN_LIMIT_PER_USER": 50,
    "AUTO_REFRESH": False,
    "AUTH_HEADER_PREFIX": "Token",
}
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "datasets_app.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "rest_framework.parsers.JSONParser",
        "rest_framework.parsers.MultiPartParser",
        "rest_framework.parsers.FormParser",
    ],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": [
        "rest_framework.throttling.AnonRateThrottle",
        "rest_framework.throttling.UserRateThrottle",
        "rest_framework.throttling.ScopedRateThrottle",
    ],
    "DEFAULT_THROTTLE_RATES": {
        "anon": environment.text("GOLDEN_RATE_ANONYMOUS", "30/min"),
        "user": environment.text("GOLDEN_RATE_USER", "1200/min"),
        "write": environment.text("GOLDEN_RATE_WRITE", "600/min"),
        "bulk": environment.text("GOLDEN_RATE_BULK", "60/min"),
        "stream": environment.text("GOLDEN_RATE_STREAM", "60/min"),
    },
    "EXCEPTION_HANDLER": "datasets_app.api.errors.exception_handler",
    "UNICODE_JSON": True,
    # a client behind no proxy must not choose its own address for throttling
    "NUM_PROXIES": environment.number("GOLDEN_PROXIES", 0),
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Golden datasets",
    "DESCRIPTION": "Read and write versioned golden datasets.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "ConflictResolutionEnum": [
            ("ours", "Ours"),
            ("theirs", "Theirs"),
            ("base", "Base"),
            ("value", "Value"),
        ],
        "AnalysisStatusEnum": [("pending", "Pending"), ("completed", "Completed"), ("failed", "Failed")],
        "ValidationStatusEnum": [
            ("pending", "Pending"),
            ("validated", "Validated"),
            ("rejected", "Rejected"),
        ],
        "MergeSideEnum": [("ours", "ours"), ("theirs", "theirs"), ("base", "base")],
        "JobStateEnum": "datasets_app.models.JobRun.State",
        "LabelingQueueStateEnum": "labeling_app.models.LabelingQueue.State",
        "QueueItemStateEnum": "labeling_app.models.QueueItem.State",
        "WebhookDeliveryStateEnum": "labeling_app.models.WebhookDelivery.State",
        "ConsensusMethodEnum": "labeling_app.models.LabelingQueue.Method",
        "ReviewOutcomeEnum": "labeling_app.models.Review.Outcome",
        "ReviewDecisionEnum": "labeling_app.api.reviews.DECISIONS",
        "LabelSourceEnum": "labeling_app.models.Source",
    },
}

# --- the browser's rules: Alpine in django-unfold needs eval, its widgets set styles ---------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, UNSAFE_EVAL],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

# --- jobs ---------------------------------------------------------------------------------------------------------
PROCRASTINATE_AUTODISCOVER_MODULE_NAME = "jobs"

# --- embeddings -----------------------------------------------------------------------------------------------------
GOLDEN_EMBED_THREADS = environment.number("GOLDEN_EMBED_THREADS", 0)  # of the built-in model; 0: one per CPU
GOLDEN_EMBED_ON_CHANGE = environment.flag("GOLDEN_EMBED_ON_CHANGE", default=True)

# --- webhooks -------------------------------------------------------------------------------------------------------
# hosts of one's own network, with or without a port, to which webhooks may send
GOLDEN_WEBHOOK_PRIVATE_HOSTS = environment.words("GOLDEN_WEBHOOK_PRIVATE_HOSTS")

# --- import wizard ------------------------------------------------------------------------------------------------
IMPORT_EXPORT_USE_TRANSACTIONS = True
IMPORT_EXPORT_SKIP_ADMIN_LOG = True  # the triggers' history has every row

# --- what is logged -----------------------------------------------------------------------------------------------
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": environment.text("GOLDEN_LOG_LEVEL", "WARNING").upper()},
    "loggers": {"django.server": {"level": "WARNING"}, "procrastinate.periodic": {"level": "ERROR"}},
}
