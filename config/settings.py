"""Django's settings, all derived from `config.env`. A setting that cannot work ends the process with one sentence."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from csp.constants import NONE, SELF

from config import env
from config.endpoints import celery_broker, django_database
from config.readers import SettingError
from config.signin.provider import registered

try:
    HOLDFAST = env.load()
    DATABASES = {"default": django_database(HOLDFAST.database_url)}
except SettingError as error:
    raise SystemExit(f"holdfast: {error}") from None

BASE_DIR = env.ROOT
HOLDFAST_DATA_DIR = HOLDFAST.data_dir
HOLDFAST_BLOB_DIR = HOLDFAST.data_dir / "blobs"
HOLDFAST_LEASE_SECONDS = HOLDFAST.lease_seconds
HOLDFAST_REQUESTS_PER_MINUTE = HOLDFAST.requests_per_minute
HOLDFAST_RETRY_BASE_SECONDS = HOLDFAST.retry_base_seconds
HOLDFAST_RETRY_CEILING_SECONDS = HOLDFAST.retry_ceiling_seconds
HOLDFAST_CHANNEL_PREFIX = HOLDFAST.instance
HOLDFAST_SNAPSHOT_DAYS = HOLDFAST.snapshot_days
HOLDFAST_DELIVERY_DAYS = HOLDFAST.delivery_days
HOLDFAST_COMPACT_AT_TOKENS = HOLDFAST.compact_at_tokens
HOLDFAST_SEARXNG_URL = HOLDFAST.searxng_url
HOLDFAST_BRAVE_API_KEY = HOLDFAST.brave_api_key
HOLDFAST_TAVILY_API_KEY = HOLDFAST.tavily_api_key
HOLDFAST_LIMITS = HOLDFAST.limits
HOLDFAST_MACHINE = HOLDFAST.machine
HOLDFAST_RUNNING_HOUR_PRICE = HOLDFAST.running_hour_price
HOLDFAST_MCP_CALL_SECONDS = HOLDFAST.mcp_call_seconds
HOLDFAST_WORKER_THREADS = HOLDFAST.worker_threads
HOLDFAST_REDIS_URL = HOLDFAST.redis_url
HOLDFAST_PUBLIC_URL = HOLDFAST.public_url
HOLDFAST_SANDBOX = HOLDFAST.sandbox
HOLDFAST_SANDBOX_SOCKET = HOLDFAST.sandbox_socket
HOLDFAST_SEAL_EVENTS = HOLDFAST.sealing.events
HOLDFAST_SEAL_SNAPSHOTS = HOLDFAST.sealing.snapshots
HOLDFAST_GIT_HOSTS = HOLDFAST.egress.git_hosts
HOLDFAST_EGRESS_SOCKET = HOLDFAST.egress.socket
HOLDFAST_MODEL_BASE_URL = HOLDFAST.model_base_url
HOLDFAST_MODEL_API_KEY = HOLDFAST.model_api_key
HOLDFAST_MODEL_DEFAULT = HOLDFAST.model_default
HOLDFAST_MODEL_MEDIA = HOLDFAST.model_media
HOLDFAST_KEYS = HOLDFAST.keys
EMAIL_HOST, EMAIL_PORT = HOLDFAST.mail.host, HOLDFAST.mail.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = HOLDFAST.mail.user, HOLDFAST.mail.password.reveal()
EMAIL_USE_TLS, EMAIL_USE_SSL = HOLDFAST.mail.security == "starttls", HOLDFAST.mail.security == "tls"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = HOLDFAST.mail.sender
HOLDFAST_PERMISSION_JUDGE = HOLDFAST.permission_judge
HOLDFAST_METRICS_TOKEN = HOLDFAST.metrics_token
HOLDFAST_WORK_LEASE_SECONDS = HOLDFAST.work_lease_seconds
HOLDFAST_MISSED_RUNS = HOLDFAST.missed_runs
HOLDFAST_SIGNING_IN = HOLDFAST.signing_in
HOLDFAST_ALLOWED_NETWORKS = HOLDFAST.allowed_networks

SECRET_KEY = HOLDFAST.secret_key.reveal()
DEBUG = HOLDFAST.debug
ALLOWED_HOSTS = list(HOLDFAST.allowed_hosts)
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008"]  # HSTS and the redirect to TLS belong to the proxy in front

INSTALLED_APPS = [
    "config.apps.OurAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "ninja",
    "django_htmx",
    "template_partials",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.mfa",
    "config.apps.ConfigConfig",
    "agents.apps.AgentsConfig",
    "credentials.apps.CredentialsConfig",
    "sessions.apps.SessionsConfig",
]

# WhiteNoise first and synchronous on purpose: everything below it then runs in one thread, one hop per request.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.telemetry.ApiSpans",
    "config.middleware.OtherSlash",
    "config.middleware.ApiAnswers",
    "config.idempotency.IdempotentPosts",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "config.middleware.ActingPerson",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
APPEND_SLASH = False  # the API's paths have no trailing slash; for pages: config.middleware.OtherSlash

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = LOGOUT_REDIRECT_URL = "account_login"
LOGIN_REDIRECT_URL = "/"

# Signing in: django-allauth does second factors, passkeys and OpenID Connect behind our own pages (config/signin).
ACCOUNT_ADAPTER = "config.signin.adapters.Accounts"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False  # config.signin.throttle counts, in Redis and for every way alike
ACCOUNT_REAUTHENTICATION_TIMEOUT = 15 * 60
SOCIALACCOUNT_ADAPTER = "config.signin.adapters.Guests"
SOCIALACCOUNT_EMAIL_VERIFICATION = "none"
SOCIALACCOUNT_LOGIN_ON_GET = True  # a form would be stopped at the provider by our own form-action
SOCIALACCOUNT_REQUESTS_TIMEOUT = 10
SOCIALACCOUNT_PROVIDERS = registered(HOLDFAST.signing_in.provider)
MFA_ADAPTER = "config.signin.adapters.Factors"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Holdfast"
MFA_TOTP_TOLERANCE = 1  # a clock may be half a minute off
CACHES = {
    "default": {
        "BACKEND": "config.signin.cache.SharedCache",  # codes that were used, seen by every web process
        "LOCATION": HOLDFAST.redis_url,
        "KEY_PREFIX": f"{HOLDFAST.instance}:cache",
    }
}

LANGUAGE_CODE = "en"
TIME_ZONE = HOLDFAST.time_zone
USE_I18N = True
LANGUAGES = [("en", "English")]  # docs/pages.md: how to add one
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = None  # served from the checkout by WhiteNoise: no collectstatic between a clone and a page
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MAX_AGE = 0 if DEBUG else 300

# One request may be as large as the API allows; files stream to disk beyond 2.5 MB.
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000  # an agent with all the rules and tools there may be is some 4,000
DATA_UPLOAD_MAX_NUMBER_FILES = 1000  # a skill may be uploaded file by file
FILE_UPLOAD_PERMISSIONS = 0o600

SESSION_COOKIE_NAME = f"holdfast_{HOLDFAST.port}"  # two installations on one host keep their own sign-ins
CSRF_COOKIE_NAME = f"holdfast_csrf_{HOLDFAST.port}"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = int(timedelta(days=14).total_seconds())
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HOLDFAST.public_url.startswith("https://")
CSRF_TRUSTED_ORIGINS = [HOLDFAST.public_url]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SESSION_COOKIE_SECURE else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}

CELERY_BROKER_URL = celery_broker(HOLDFAST.tasks_url)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_TIMEOUT = 5
CELERY_BROKER_POOL_LIMIT = 10
CELERY_TASK_DEFAULT_QUEUE = HOLDFAST.instance
HOLDFAST_CHORES = f"{HOLDFAST.instance}.chores"  # clean-up, deliveries: never in a turn's way
HOLDFAST_AT_MACHINE = f"{HOLDFAST.instance}.at."  # and a machine's name: what only that machine can do
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_TASK_ROUTES = {
    "sessions.run_thread": {"queue": HOLDFAST.instance},
    "sessions.drive_workflow": {"queue": HOLDFAST.instance},
    "*": {"queue": HOLDFAST_CHORES},
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False  # acked early: the lease in the database guarantees the work, not the broker
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0.05, "interval_step": 0.2, "interval_max": 0.5}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Acked early, a wake-up counts no longer as fetched, so a worker whose threads are all busy would go on taking what
# another one could run. Celery knows the way out for Redis only.
CELERY_WORKER_DISABLE_PREFETCH = not HOLDFAST.tasks_url.startswith("amqp")
# RabbitMQ gives what a worker took to others once it hears nothing of it for two of these (seconds): one that is frozen
# keeps no wake-ups to itself. Redis has none, and nothing is taken from it ahead.
CELERY_BROKER_HEARTBEAT = 5
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TIMEZONE = "UTC"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": HOLDFAST.log_level},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
        "httpx2": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
    },
}
