"""Everything that can be set from outside, read once from the environment."""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

LOG_LEVELS = ("debug", "info", "warning", "error")
METRICS = ("off", "loopback")

SHORTEST_METRICS_TOKEN = 16

# The whole server ends within five seconds, and has other things to do in them.
LONGEST_DRAIN_MS = 2_500

# Any of these says where a server is. The rest of libpq's variables (PGUSER, PGPASSWORD and so on)
# only say how to reach it, and people have them set for other reasons.
LIBPQ_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE")

# Each may be 0, for no limit.
REALTIME_LIMITS = (
    "realtime_socket_channels",
    "realtime_socket_joins_per_second",
    "realtime_socket_messages_per_second",
    "realtime_socket_bytes_per_second",
    "realtime_user_sockets",
    "realtime_user_joins_per_second",
    "realtime_user_messages_per_second",
    "realtime_user_bytes_per_second",
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(Exception):
    """A variable has a value that cannot be used. The message names it and says what to set."""


@dataclass(frozen=True, slots=True)
class Settings:
    """
    host, port -- where to serve; port 0 takes a free one
    data_dir -- folder of the embedded PostgreSQL, made where it is missing
    database_url -- libpq URL or keyword string; "" is libpq's own environment; None is embedded
    jwt_secret -- key of the access tokens (HS256); None keeps one in the database
    trusted_proxies -- who is believed about the address of a client (X-Forwarded-For)
    realtime_* -- see docs/reference/settings.md; a limit of 0 is none
    metrics -- who may read the metrics without a token: "off" is nobody
    metrics_token -- who brings it may read the metrics
    """

    host: str = "127.0.0.1"
    port: int = 8787
    data_dir: Path = Path(".roost")
    # May hold passwords, so they stay out of logs and tracebacks.
    database_url: str | None = field(default=None, repr=False)
    jwt_secret: str | None = field(default=None, repr=False)
    access_token_seconds: int = 3600
    refresh_token_days: int = 30
    statement_timeout_ms: int = 10_000
    migration_lock_timeout_ms: int = 5_000
    migration_statement_timeout_ms: int = 600_000
    max_body_bytes: int = 1_048_576
    db_connections: int = 8
    file_connections: int = 4
    cors_origins: tuple[str, ...] = ("*",)
    trusted_proxies: tuple[Network, ...] = ()
    log_level: str = "info"
    realtime_socket_channels: int = 100
    realtime_socket_joins_per_second: int = 20
    realtime_socket_messages_per_second: int = 100
    realtime_socket_bytes_per_second: int = 131_072
    realtime_user_sockets: int = 100
    realtime_user_joins_per_second: int = 100
    realtime_user_messages_per_second: int = 200
    realtime_user_bytes_per_second: int = 524_288
    realtime_frame_bytes: int = 262_144
    realtime_unsent_bytes: int = 1_048_576
    realtime_compress_from_bytes: int = 512
    realtime_drain_ms: int = 2_000
    metrics: str = "off"
    metrics_token: str | None = field(default=None, repr=False)

    @property
    def has_metrics(self) -> bool:
        """Whether anybody may read the metrics."""
        return self.metrics != "off" or self.metrics_token is not None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Reads the variables; an empty one counts as not set. Raises SettingsError."""
        given = {name: value for name, value in environment.items() if value.strip()}

        default = cls()

        def text(name: str, otherwise: str) -> str:
            return given.get(name, otherwise).strip()

        def number(name: str, otherwise: int, least: int, most: int) -> int:
            value = text(name, str(otherwise))
            # isdecimal() keeps out what int() would take: signs, underscores, blanks.
            if value.isdecimal() and least <= int(value) <= most:
                return int(value)
            raise SettingsError(
                f"{name} is {value!r}: set it to a whole number from {least} to {most}"
            )

        return cls(
            host=text("ROOST_HOST", default.host),
            port=number("ROOST_PORT", default.port, 0, 65_535),
            data_dir=Path(text("ROOST_DATA_DIR", str(default.data_dir))),
            database_url=_database_url(given),
            jwt_secret=_jwt_secret(given),
            access_token_seconds=number(
                "ROOST_ACCESS_TOKEN_SECONDS", default.access_token_seconds, 10, 86_400
            ),
            refresh_token_days=number(
                "ROOST_REFRESH_TOKEN_DAYS", default.refresh_token_days, 1, 3_650
            ),
            statement_timeout_ms=number(
                "ROOST_STATEMENT_TIMEOUT_MS", default.statement_timeout_ms, 100, 600_000
            ),
            migration_lock_timeout_ms=number(
                "ROOST_MIGRATION_LOCK_TIMEOUT_MS", default.migration_lock_timeout_ms, 0, 86_400_000
            ),
            migration_statement_timeout_ms=number(
                "ROOST_MIGRATION_STATEMENT_TIMEOUT_MS",
                default.migration_statement_timeout_ms,
                0,
                86_400_000,
            ),
            max_body_bytes=number(
                "ROOST_MAX_BODY_BYTES", default.max_body_bytes, 1_024, 1_073_741_824
            ),
            db_connections=number("ROOST_DB_CONNECTIONS", default.db_connections, 1, 1_000),
            file_connections=number("ROOST_FILE_CONNECTIONS", default.file_connections, 1, 1_000),
            cors_origins=_cors_origins(given),
            trusted_proxies=_trusted_proxies(given),
            log_level=_choice(given, "ROOST_LOG_LEVEL", LOG_LEVELS, default.log_level),
            realtime_frame_bytes=number(
                "ROOST_REALTIME_FRAME_BYTES", default.realtime_frame_bytes, 1_024, 16_777_216
            ),
            realtime_unsent_bytes=number(
                "ROOST_REALTIME_UNSENT_BYTES", default.realtime_unsent_bytes, 65_536, 1_073_741_824
            ),
            realtime_compress_from_bytes=number(
                "ROOST_REALTIME_COMPRESS_FROM_BYTES",
                default.realtime_compress_from_bytes,
                0,
                1_073_741_824,
            ),
            realtime_drain_ms=number(
                "ROOST_REALTIME_DRAIN_MS", default.realtime_drain_ms, 0, LONGEST_DRAIN_MS
            ),
            metrics=_choice(given, "ROOST_METRICS", METRICS, default.metrics),
            metrics_token=_metrics_token(given),
            **{
                name: number(f"ROOST_{name.upper()}", getattr(default, name), 0, 1_000_000_000)
                for name in REALTIME_LIMITS
            },
        )


def _database_url(given: Mapping[str, str]) -> str | None:
    if "DATABASE_URL" not in given:
        return "" if any(name in given for name in LIBPQ_VARIABLES) else None
    url = given["DATABASE_URL"].strip()
    try:
        conninfo_to_dict(url)
    except ProgrammingError:
        # The value is not repeated, and libpq's message with it: there may be a password inside.
        raise SettingsError(
            "DATABASE_URL is not a connection string of PostgreSQL: set it to the like of"
            " postgresql://user@host:5432/database or host=/run/postgresql dbname=database"
        ) from None
    return url


def _jwt_secret(given: Mapping[str, str]) -> str | None:
    secret = given.get("ROOST_JWT_SECRET")
    if secret is not None and len(secret.encode()) < 32:
        raise SettingsError(
            "ROOST_JWT_SECRET is too short: set it to at least 32 bytes, or leave it out to have"
            " one made and kept in the database"
        )
    return secret


def _cors_origins(given: Mapping[str, str]) -> tuple[str, ...]:
    value = given.get("ROOST_CORS_ORIGINS")
    if value is None:
        return Settings().cors_origins
    origins = tuple(origin.strip().rstrip("/") for origin in value.split(",") if origin.strip())
    for origin in origins:
        scheme, separator, host = origin.partition("://")
        if origin != "*" and not (scheme and separator and host and "/" not in host):
            raise SettingsError(
                f"ROOST_CORS_ORIGINS has {origin!r}: set it to * or to origins separated by"
                " commas, such as https://example.com,http://localhost:3000"
            )
    return origins


def _trusted_proxies(given: Mapping[str, str]) -> tuple[Network, ...]:
    networks: list[Network] = []
    for entry in given.get("ROOST_TRUSTED_PROXIES", "").split(","):
        if entry.strip():
            try:
                networks.append(ipaddress.ip_network(entry.strip()))
            except ValueError:
                raise SettingsError(
                    f"ROOST_TRUSTED_PROXIES has {entry.strip()!r}: set it to addresses or networks"
                    " separated by commas, such as 127.0.0.1,10.0.0.0/8"
                ) from None
    return tuple(networks)


def _metrics_token(given: Mapping[str, str]) -> str | None:
    token = given.get("ROOST_METRICS_TOKEN", "").strip()
    if token and len(token) < SHORTEST_METRICS_TOKEN:
        raise SettingsError(
            f"ROOST_METRICS_TOKEN is too short: set it to at least {SHORTEST_METRICS_TOKEN}"
            " characters"
        )
    return token or None


def _choice(given: Mapping[str, str], name: str, choices: tuple[str, ...], otherwise: str) -> str:
    value = given.get(name, otherwise).strip().lower()
    if value not in choices:
        raise SettingsError(f"{name} is {value!r}: set it to one of {', '.join(choices)}")
    return value
