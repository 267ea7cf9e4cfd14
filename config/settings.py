"""Settings, read from the environment; every default is safe for a developer's machine.

What belongs here: names of things outside the code (databases, brokers, limits that an operator
sets). What never does: anything a district chooses in the browser; that lives in the database.
"""

from pathlib import Path

import environ
from csp.constants import NONE, SELF

from config import queues

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# Logs, uploads and (in the demo) the servers' data of one copy of the project.
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="development-only-key-that-production-must-replace")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_filters",
    "heroicons",
    "csp",
    "axes",
    "messenger",
    "voice",
    "sentlog",
    "dialer_adapters.switchboard",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "messenger.views.zone.DistrictZone",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
AUTH_USER_MODEL = "messenger.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "messenger.views.context.district",
            ],
        },
    },
]

# One engine everywhere. The switchboard keeps its own database: it shares no table and no
# transaction with the application, so that it could as well stand on another machine.
DATABASES = {
    "default": env.db_url("DATABASE_URL", default="postgres://app@127.0.0.1:5432/messenger"),
    "switchboard": env.db_url(
        "SWITCHBOARD_DATABASE_URL", default="postgres://app@127.0.0.1:5432/switchboard"
    ),
}
for _database in DATABASES.values():
    _database["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=60)
    # Without it a web process answered four errors after the database came back from a crash.
    _database["CONN_HEALTH_CHECKS"] = True
# A process that sleeps inside a transaction (frozen, or cut off) would hold its rows against
# everybody, a cancel included: PostgreSQL ends it. Nothing of ours rests for so long inside one.
# Seconds; 0 waits for ever, which tests need that are one transaction themselves.
_transaction_seconds = env.float("IDLE_TRANSACTION_SECONDS", default=60.0)
DATABASES["default"].setdefault("OPTIONS", {}).setdefault(
    "options", f"-c idle_in_transaction_session_timeout={_transaction_seconds * 1000:.0f}"
)
# Who holds a lock on a piece of work and lets its connection rest for so long loses both.
LOCK_IDLE_SECONDS = env.float("LOCK_IDLE_SECONDS", default=45.0)
DATABASE_ROUTERS = ["dialer_adapters.switchboard.router.SwitchboardRouter"]

REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
}

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False  # no line of its own in front of every command's output
AXES_LOCKOUT_CALLABLE = "messenger.views.frame.locked_out"

SESSION_COOKIE_AGE = 8 * 3600
SESSION_COOKIE_SAMESITE = "Lax"
# Behind TLS the operator sets SECURE=1; on a loopback demo a secure cookie would lock everyone out.
SECURE = env.bool("SECURE", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SECURE_SSL_REDIRECT = SECURE
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE
SECURE_HSTS_PRELOAD = SECURE
X_FRAME_OPTIONS = "DENY"

# The page of every component; on with DEBUG too.
STYLEGUIDE = env.bool("STYLEGUIDE", default=False)

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "media-src": [SELF, "blob:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

LANGUAGE_CODE = "en-us"
LANGUAGES = [("en", "English"), ("es", "Español")]
LOCALE_PATHS = [BASE_DIR / "config" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = env.path("STATIC_ROOT", default=BASE_DIR / "staticfiles")
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
MEDIA_ROOT = Path(env.str("MEDIA_ROOT", default=str(VAR_DIR / "media")))
# Days that a printed report can be fetched; after that its file is deleted.
REPORTS_KEPT_DAYS = env.int("REPORTS_KEPT_DAYS", default=30)

# --- Celery: the doorbell -------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_TIME_LIMIT = 120
CELERY_TASK_SOFT_TIME_LIMIT = 90
# Reports and imports may run 30 minutes; a shorter time-out would hand them out twice.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 2400,
    # A dead broker must not hold a confirm: one that refuses took 6 s, one that swallows everything
    # never ended. Whoever rings tries once; workers connect again by themselves, for ever. A worker
    # asks for at most a second at a time, so that 3 s of silence are an error for it too.
    "socket_connect_timeout": 2.0,
    "socket_timeout": 3.0,
    "socket_keepalive": True,
    "max_retries": 0,
}
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "periodic"
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_BEAT_SCHEDULER = "config.beat:NotingScheduler"
# Every queue that some worker must consume; each is probed (`messenger.status.pulse`).
WORK_QUEUES = queues.WORK_QUEUES
PULSE_SECONDS = queues.PULSE_SECONDS
AT_WORK_FILE = queues.AT_WORK_FILE

# --- Mail -----------------------------------------------------------------------------------
# smtp://user:password@host:587, smtp+tls://..., smtp+ssl://...; without it mail goes to the log.
vars().update(env.email_url("EMAIL_URL", default="consolemail://"))
EMAIL_TIMEOUT = 10  # seconds; a worker is not held by a mail server that does not answer
DEFAULT_FROM_EMAIL = env.str("FROM_EMAIL", default="messenger@localhost")
# Who hears, besides the district's administrators, of an emergency that does not go out.
ALARM_EMAILS = env.list("ALARM_EMAILS", default=[])

# --- The dialer -----------------------------------------------------------------------------
# How the dialer is spoken to: a name of `dialer_adapters.registry`, or a dotted path.
DIALER_ADAPTER = env.str("DIALER_ADAPTER", default="shoutpoint")
# Loopback over plain http is for the switchboard of the demo and the tests alone.
DIALER_ALLOW_LOOPBACK = env.bool("DIALER_ALLOW_LOOPBACK", default=False)
# Hosts that an end point may name; empty allows any public one.
DIALER_ALLOWED_HOSTS = env.list("DIALER_ALLOWED_HOSTS", default=[])
# Jobs and batches a second that the dialer takes of the account; 0: it says so when it is too much.
DIALER_REQUESTS_PER_SECOND = env.float("DIALER_REQUESTS_PER_SECOND", default=0.0)
# A batch that a worker took belongs to it for so long; outlives every request. Tests shorten it.
DISPATCH_LEASE_SECONDS = env.float("DISPATCH_LEASE_SECONDS", default=60.0)
# First wait after a request in doubt, in seconds; doubles up to five minutes. Tests shorten it.
DISPATCH_FIRST_WAIT = env.float("DISPATCH_FIRST_WAIT", default=2.0)

# Keys that encrypt credentials at rest, newest first; the first one writes, all of them read.
FIELD_ENCRYPTION_KEYS = env.list("FIELD_ENCRYPTION_KEYS", default=[])

# Every line goes through `config.logs`, which takes out whom a message is for.
LOGGING_CONFIG = "config.logs.configure"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "config.logs.make_formatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
}
