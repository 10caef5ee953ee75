"""One frozen settings object per process, from SIMORGH_* variables or a file of them; all faults are reported at once.

SIMORGH_ENV_FILE names the file (lines of NAME=value); variables override it. An empty variable counts as not set.
`simorgh.settings_faults` describes faults of the given settings.
"""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from eventlog.kafka.client import SECURITY, ClientName, Connection
from identity.normalise import is_region
from registry.erasures import REFUSE, Returning
from schemas.errors import InvalidSettings
from simorgh import settings_faults
from simorgh.settings_values import Watch, is_server_url, read_bind, read_security, read_watches

_KAFKA: Final = re.compile(r"kafka://[^/,\s]+:\d+(,[^/,\s]+:\d+)*")

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class Settings(BaseSettings):
    """The operator's settings. Every field is `SIMORGH_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix="SIMORGH_", frozen=True, extra="ignore", env_ignore_empty=True)

    data: Annotated[
        Path,
        Field(description="The data folder: log, warehouse and keys of one machine; copies of the keys on a cluster."),
    ] = Path("simorgh-data")
    log: Annotated[
        str,
        Field(description="The event log: `sqlite:///path`, `kafka://host:port[,host:port]`; empty: DATA/log.sqlite."),
    ] = ""
    clickhouse: Annotated[
        SecretStr | None,
        Field(
            description="The warehouse: `chdb:///path` or `http(s)://user:password@host:port`; empty: DATA/warehouse."
        ),
    ] = None
    clickhouse_read_url: Annotated[
        SecretStr | None, Field(description="The same server with a less privileged user, for callers' queries.")
    ] = None
    clickhouse_cluster: Annotated[
        str,
        Field(
            description="The cluster of the server on which tables are replicated and sharded.", pattern=r"^[\w.{}-]*$"
        ),
    ] = ""
    workspace: Annotated[str, Field(description="The workspace's name.", pattern=r"^[a-z][a-z0-9_]{0,30}$")] = "default"
    partitions: Annotated[int, Field(description="Partitions of simorgh.events in a new log.", ge=1, le=64)] = 2
    kafka_client: Annotated[
        ClientName,
        Field(description="`kafka-python`, `confluent` (the extra `fast`) or `auto`: confluent if installed."),
    ] = "auto"
    kafka_replication: Annotated[
        int, Field(description="Replicas of new topics; -1: the broker's default.", ge=-1)
    ] = -1
    kafka_min_insync: Annotated[
        int, Field(description="Replicas of new topics that must have a record; 0: the broker's default.", ge=0)
    ] = 0
    kafka_patience: Annotated[
        float, Field(description="Seconds to wait for a broker that does not answer.", ge=1, le=600)
    ] = 20.0
    kafka_security: Annotated[
        SecretStr | None, Field(description="TLS and SASL as a JSON object, see docs/kafka.md.")
    ] = None
    write_key: Annotated[
        SecretStr | None,
        Field(description="A write key, valid while set, of a source with default settings."),
    ] = None
    api_token: Annotated[SecretStr | None, Field(description="An API token, valid while set, with every scope.")] = None
    secret: Annotated[
        SecretStr | None,
        Field(
            description="The key of the hash of identifiers, 32 bytes in hex. The same in all roles of a cluster,"
            " forever. Without it, one machine keeps its own in DATA/keys.json."
        ),
    ] = None
    api: Annotated[
        str,
        Field(
            description="The API that commands call: `http(s)://host:port`. Needed on a cluster; also lets you reach a"
            " server from another machine."
        ),
    ] = ""
    collector: Annotated[
        str, Field(description="The collector that `simorgh import` sends to, with SIMORGH_WRITE_KEY, on a cluster.")
    ] = ""
    transit_seconds: Annotated[
        float,
        Field(
            description="How long a request may be on the way before its sender's clock counts as slow.",
            ge=0,
            le=86_400,
        ),
    ] = 60.0
    phone_region: Annotated[
        str | None,
        Field(description="The country (ISO 3166) of phone numbers without one, if the source names none."),
    ] = None
    geo_file: Annotated[
        Path | None,
        Field(description="A MaxMind DB file (.mmdb) that says where addresses are; see docs/sending.md."),
    ] = None
    returning: Annotated[
        Returning,
        Field(
            description="Events of people who were forgotten: `refuse` them, or `start_anew`: they are somebody new's."
        ),
    ] = REFUSE
    currency: Annotated[
        str | None,
        Field(
            description="The currency (ISO 4217; IRT: tomans) of orders without one, if the source names none.",
            pattern=r"^[A-Z]{3}$",
        ),
    ] = None
    worker_group: Annotated[str, Field(description="The consumer group of the workers.", min_length=1)] = (
        "simorgh-workers"
    )
    worker_session_seconds: Annotated[
        float, Field(description="A worker that is silent for this long loses its partitions.", ge=6, le=300)
    ] = 20.0
    worker_stuck_seconds: Annotated[
        float, Field(description="A worker that makes no progress for this long while records wait ends itself.", ge=5)
    ] = 60.0
    most_set_aside: Annotated[
        int,
        Field(
            description="Inputs in a row, of several sources, that a stage sets aside before it stops. 0: any.", ge=0
        ),
    ] = 100
    allow_private_webhooks: Annotated[
        bool,
        Field(description="Allow every address of webhooks and watched URLs: private ones, plain http, any port."),
    ] = False
    watch: Annotated[
        SecretStr | None,
        Field(
            description="What `simorgh serve` imports from: a JSON list of objects with `from` (a folder or URL),"
            " `mappings`, and for URLs `every_seconds` and `headers`; see docs/import.md."
        ),
    ] = None
    log_level: Annotated[
        Level,
        Field(description="Level of the program's own log lines, on stderr: `DEBUG`, `INFO`, `WARNING` or `ERROR`."),
    ] = "INFO"
    log_format: Annotated[
        Literal["text", "json"], Field(description="Format of these lines: `text`, or `json` with one object per line.")
    ] = "text"

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.strip().upper() if isinstance(value, str) else value

    @field_validator("log_format", "kafka_client", mode="before")
    @classmethod
    def _lower_case(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("api", "collector")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not is_server_url(value):
            raise ValueError("wanted http(s)://host:port without a path")
        return value.rstrip("/")

    # --- limits for callers (docs/security.md)
    public_url: Annotated[
        str,
        Field(
            description="The collector's public address, such as `https://events.example.com`, which browser SDKs are"
            " told. Empty: the address that the server is bound to."
        ),
    ] = ""
    api_bind: Annotated[
        str, Field(description="`host:port` for the API, apart from the public collector (`serve` only).")
    ] = ""
    metrics_bind: Annotated[str, Field(description="`host:port` for `/metrics`.")] = ""
    trusted_proxies: Annotated[
        str,
        Field(
            description="Addresses and networks, separated by commas, of proxies whose X-Forwarded-For and"
            " X-Forwarded-Proto are trusted."
        ),
    ] = ""
    http_connections: Annotated[
        int, Field(description="Most connections at once; 0: half of the free descriptors, at most 10,000.", ge=0)
    ] = 0
    http_connections_per_address: Annotated[
        int, Field(description="Most connections of one address that is not a trusted proxy; 0: three quarters.", ge=0)
    ] = 0
    http_header_bytes: Annotated[
        int, Field(description="Most bytes in the head of a request.", ge=1_024, le=1_000_000)
    ] = 32_768
    http_header_seconds: Annotated[float, Field(description="Seconds for the head of a request to arrive.", ge=0.5)] = (
        10.0
    )
    http_body_seconds: Annotated[
        float, Field(description="Seconds for its body, plus one for each 1,000 bytes received.", ge=0.5)
    ] = 20.0
    http_idle_seconds: Annotated[
        float, Field(description="Seconds between two requests of a connection; longer than a proxy keeps it.", ge=0.5)
    ] = 75.0
    query_workers: Annotated[
        int, Field(description="Heavy queries of the API that run at once: previews, lists, searches.", ge=1, le=64)
    ] = 2
    query_queue: Annotated[int, Field(description="Heavy queries that may wait; more get 429.", ge=0, le=1_000)] = 16
    query_seconds: Annotated[
        float, Field(description="Seconds for a heavy query to wait and run; then it is cancelled.", ge=1, le=300)
    ] = 30.0
    streams_per_token: Annotated[
        int, Field(description="Event streams that one token may hold open.", ge=1, le=1_000)
    ] = 20
    failures_per_minute: Annotated[
        int, Field(description="Wrong keys or tokens from one address, or with one prefix, before 429.", ge=1)
    ] = 30
    stop_seconds: Annotated[
        float, Field(description="Seconds from SIGTERM to the end, whatever is running.", ge=2, le=300)
    ] = 8.0
    budget_events_per_second: Annotated[
        int,
        Field(description="Events a second from one source, plus the last minute's unused ones; 0: no limit.", ge=0),
    ] = 5_000
    budget_megabytes_per_day: Annotated[
        int, Field(description="Megabytes of request bodies a day from one source; 0: no limit.", ge=0)
    ] = 20_000
    budget_types_per_day: Annotated[
        int, Field(description="Different event types outside the catalogue a day from one source; 0: no limit.", ge=0)
    ] = 2_000
    budget_names_per_day: Annotated[
        int, Field(description="Different names of traits and properties a day from one source; 0: no limit.", ge=0)
    ] = 10_000
    budget_identifiers_per_day: Annotated[
        int, Field(description="Different identifiers a day from one source; 0: no limit.", ge=0)
    ] = 2_000_000

    @field_validator("public_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        if value and not is_server_url(value):
            raise ValueError("wanted http(s)://host or http(s)://host:port, without a path")
        return value.rstrip("/")

    @field_validator("api_bind", "metrics_bind")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        if value:
            read_bind(value)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        for one in filter(None, (part.strip() for part in value.split(","))):
            try:
                ip_network(one)
            except ValueError:
                raise ValueError("wanted addresses or networks separated by commas, such as 10.0.0.0/8, ::1") from None
        return value

    @field_validator("write_key", "api_token")
    @classmethod
    def _printable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        text = value.get_secret_value()
        if len(text) > 200 or not text.isprintable():
            raise ValueError("wanted 1 to 200 printable characters")
        return value

    @field_validator("phone_region")
    @classmethod
    def _region(cls, value: str | None) -> str | None:
        if value and not is_region(value):
            raise ValueError("wanted a country as ISO 3166 writes it, such as IR or DE")
        return value or None

    @field_validator("log")
    @classmethod
    def _known_log(cls, value: str) -> str:
        if value and not value.startswith("sqlite:///") and not _KAFKA.fullmatch(value):
            raise ValueError("wanted sqlite:///path or kafka://host:port[,host:port]")
        return value

    @field_validator("kafka_security")
    @classmethod
    def _passes_through(cls, value: SecretStr | None) -> SecretStr | None:
        for name, setting in read_security(value).items():
            if name not in SECURITY or not isinstance(setting, str):
                raise ValueError(f"wanted a JSON object of strings with only {', '.join(SECURITY)}")
        return value

    @field_validator("watch")
    @classmethod
    def _watches(cls, value: SecretStr | None) -> SecretStr | None:
        read_watches(value)
        return value

    @field_validator("secret")
    @classmethod
    def _hex(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value() if value else ""
        if text and not re.fullmatch(r"[0-9a-fA-F]{64}", text):
            raise ValueError("wanted 64 hexadecimal digits; `openssl rand -hex 32` prints some")
        return value if text else None

    @field_validator("clickhouse", "clickhouse_read_url")
    @classmethod
    def _engine(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        text = value.get_secret_value() if value else ""
        if not text:
            return None
        if text.startswith("chdb:///") and info.field_name == "clickhouse":
            return value
        if not is_server_url(text):
            raise ValueError(
                "wanted http(s)://user:password@host:port without a path, special characters in user and password"
                " percent-encoded" + (", or chdb:///path" if info.field_name == "clickhouse" else "")
            )
        return value

    @field_validator("clickhouse_read_url", "clickhouse_cluster")
    @classmethod
    def _of_a_server(cls, value: SecretStr | str | None, info: ValidationInfo) -> SecretStr | str | None:
        main: SecretStr | None = info.data.get("clickhouse")
        if value and not (main and main.get_secret_value().startswith("http")):
            raise ValueError("wanted a server in SIMORGH_CLICKHOUSE as well")
        return value

    @property
    def kafka(self) -> Connection | None:
        """Where the brokers are; None: the log is embedded."""
        if not _KAFKA.fullmatch(self.log):
            return None
        return Connection(self.log.removeprefix("kafka://"), read_security(self.kafka_security), self.kafka_patience)

    @property
    def watches(self) -> list[Watch]:
        """What `serve` imports from."""
        return read_watches(self.watch)

    @property
    def log_path(self) -> Path:
        return Path(self.log.removeprefix("sqlite://")) if self.log else self.data / "log.sqlite"

    @property
    def warehouse_dsn(self) -> str:
        """Contains the user's password: never show it (show `Warehouse.address`)."""
        given = self.clickhouse.get_secret_value() if self.clickhouse else ""
        return given or f"chdb://{(self.data / 'warehouse').resolve()}"

    @property
    def warehouse_read_dsn(self) -> str:
        return self.clickhouse_read_url.get_secret_value() if self.clickhouse_read_url else ""


def load_settings(**given: object) -> Settings:
    """Settings from the environment, overridden by those of the command line. Raises `InvalidSettings`.

    A folder named on the command line also overrides SIMORGH_API.
    """
    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    file = settings_faults.named_file()
    unknown = settings_faults.unknown_names({name.upper() for name in Settings.model_fields}, file)
    try:
        settings = Settings(_env_file=file, **values)  # type: ignore[call-arg]
    except ValidationError as error:
        raise InvalidSettings(f"settings: {'; '.join([*settings_faults.readable(error), *unknown])}") from None
    if unknown:
        raise InvalidSettings(f"settings: {'; '.join(unknown)}")
    if "data" in values and settings.kafka is None and settings.api:
        return settings.model_copy(update={"api": ""})
    return settings
