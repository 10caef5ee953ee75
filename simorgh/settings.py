"""One frozen settings object per process, from SIMORGH_* variables or a file of them; all faults are reported at once.

The file is named by SIMORGH_ENV_FILE (lines of NAME=value); a variable that is set wins over the file.
"""

import json
import os
import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from eventlog.kafka.client import SECURITY, ClientName, Connection
from identity.normalise import is_region
from schemas.errors import InvalidSettings

_KAFKA: Final = re.compile(r"kafka://[^/,\s]+:\d+(,[^/,\s]+:\d+)*")


class Settings(BaseSettings):
    """What an operator can set. Every field is `SIMORGH_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix="SIMORGH_", frozen=True, extra="ignore")

    data: Annotated[Path, Field(description="The data folder: log, warehouse and keys of one box.")] = Path(
        "simorgh-data"
    )
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
        SecretStr | None, Field(description="The server once more, with a user of fewer rights for callers' queries.")
    ] = None
    clickhouse_cluster: Annotated[
        str,
        Field(description="The server's cluster on which tables are replicated and sharded.", pattern=r"^[\w.{}-]*$"),
    ] = ""
    workspace: Annotated[str, Field(description="The workspace's name.", pattern=r"^[a-z][a-z0-9_]{0,30}$")] = "default"
    partitions: Annotated[int, Field(description="Partitions of simorgh.events in a new log.", ge=1, le=64)] = 2
    kafka_client: Annotated[
        ClientName,
        Field(description="`kafka-python`, `confluent` (the extra `fast`) or `auto`: confluent if installed."),
    ] = "auto"
    kafka_replication: Annotated[
        int, Field(description="Replicas of topics that are made; -1: as the broker is set.", ge=-1)
    ] = -1
    kafka_min_insync: Annotated[
        int, Field(description="Replicas that must have a record of such topics; 0: as the broker is set.", ge=0)
    ] = 0
    kafka_patience: Annotated[
        float, Field(description="Seconds after which a broker that does not answer is given up.", ge=1, le=600)
    ] = 20.0
    kafka_security: Annotated[
        SecretStr | None, Field(description="TLS and SASL as a JSON object, see docs/kafka.md.")
    ] = None
    write_key: Annotated[
        SecretStr | None,
        Field(description="A write key that holds while set: a source with default settings."),
    ] = None
    api_token: Annotated[
        SecretStr | None, Field(description="An API token that holds while set, with every scope.")
    ] = None
    secret: Annotated[
        SecretStr | None,
        Field(description="Hex, 32 bytes: keys the hash of identifiers. The same in all roles of a cluster, for ever."),
    ] = None
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
        Field(description="The country (ISO 3166) of phone numbers without one, where a source names none."),
    ] = None
    currency: Annotated[
        str | None,
        Field(
            description="The currency (ISO 4217; IRT: tomans) of orders without one, where a source names none.",
            pattern=r"^[A-Z]{3}$",
        ),
    ] = None
    worker_group: Annotated[str, Field(description="The consumer group of the workers.", min_length=1)] = (
        "simorgh-workers"
    )
    worker_session_seconds: Annotated[
        float, Field(description="A worker that is silent for so long loses its partitions.", ge=6, le=300)
    ] = 20.0
    worker_stuck_seconds: Annotated[
        float, Field(description="A worker that does nothing for so long while records wait ends itself.", ge=5)
    ] = 60.0
    allow_private_webhooks: Annotated[
        bool, Field(description="Lift the rules on webhook addresses: private ones, plain http, odd ports.")
    ] = False
    log_level: Annotated[str, Field(description="Of the program's own log lines, on stderr.")] = "WARNING"

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
        for name, setting in _parsed(value).items():
            if name not in SECURITY or not isinstance(setting, str):
                raise ValueError(f"wanted a JSON object of strings with only {', '.join(SECURITY)}")
        return value

    @field_validator("secret")
    @classmethod
    def _hex(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value() if value else ""
        if text and not re.fullmatch(r"[0-9a-fA-F]{64}", text):
            raise ValueError("wanted 64 hexadecimal digits; `openssl rand -hex 32` makes some")
        return value if text else None

    @field_validator("clickhouse", "clickhouse_read_url")
    @classmethod
    def _engine(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        text = value.get_secret_value() if value else ""
        if not text:
            return None
        if text.startswith("chdb:///") and info.field_name == "clickhouse":
            return value
        if not _is_server_url(text):
            raise ValueError(
                "wanted http(s)://user:password@host:port without a path, what is special in user and password"
                " percent-encoded" + ("; or chdb:///path" if info.field_name == "clickhouse" else "")
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
        return Connection(self.log.removeprefix("kafka://"), _parsed(self.kafka_security), self.kafka_patience)

    @property
    def log_path(self) -> Path:
        return Path(self.log.removeprefix("sqlite://")) if self.log else self.data / "log.sqlite"

    @property
    def warehouse_dsn(self) -> str:
        """With the user's password in it: never to be shown (`Warehouse.address` may be)."""
        given = self.clickhouse.get_secret_value() if self.clickhouse else ""
        return given or f"chdb://{(self.data / 'warehouse').resolve()}"

    @property
    def warehouse_read_dsn(self) -> str:
        return self.clickhouse_read_url.get_secret_value() if self.clickhouse_read_url else ""


def _is_server_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and parts.path in ("", "/")
        )
    except ValueError:
        return False


def _parsed(security: SecretStr | None) -> dict[str, str]:
    if security is None or not security.get_secret_value():
        return {}
    try:
        found = json.loads(security.get_secret_value())
    except json.JSONDecodeError:
        raise ValueError("wanted a JSON object") from None
    if not isinstance(found, dict):
        raise ValueError("wanted a JSON object")
    return found


def load_settings(**given: object) -> Settings:
    """Settings from the environment, with what the command line gave on top. Raises `InvalidSettings`."""
    try:
        values = {name: value for name, value in given.items() if value is not None}
        return Settings(_env_file=os.environ.get("SIMORGH_ENV_FILE"), **values)  # type: ignore[arg-type, call-arg]
    except ValidationError as error:
        faults = "; ".join(f"SIMORGH_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise InvalidSettings(f"settings: {faults}") from None
