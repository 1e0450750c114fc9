"""What can an operator set? One frozen Settings from the environment: each field a default and a sentence.

Every field is read from `SWITCHPOINT_<NAME>`; README's table is checked against this file by a test.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Everything that can be set, with its default."""

    model_config = SettingsConfigDict(env_prefix="SWITCHPOINT_", frozen=True, extra="ignore")

    state_dir: Path = Field(default=Path(".switchpoint"), description="Folder of the ledger, keys and running.json.")
    ledger_url: str = Field(default="", description="Ledger: empty for SQLite in the state folder; or postgresql://.")
    index_url: str = Field(default="", description="Reference index: empty for the ledger's database; or redis://.")

    exchange_host: str = Field(default="127.0.0.1", description="Address the exchange listener binds to.")
    exchange_port: int = Field(default=8443, description="Port of the exchange listener (mutual TLS, machines only).")
    exchange_url: str = Field(default="", description="Public base of the exchange; empty: https://localhost:<port>.")
    desk_host: str = Field(default="127.0.0.1", description="Address the desk listener binds to (TLS off loopback).")
    desk_port: int = Field(default=8080, description="Port of the desk listener (people, health, simulator controls).")

    certificate: Path = Field(default=Path("certs/gateway.pem"), description="The gateway's certificate chain (PEM).")
    key: Path = Field(default=Path("certs/gateway.key"), description="The gateway's private key (PEM, mode 0600).")
    ca: Path = Field(default=Path("certs/ca.pem"), description="Authorities whose certificates count (PEM).")
    crl: Path = Field(default=Path("certs/crl.pem"), description="Revocation list; expired fails closed.")

    simulation: bool = Field(default=False, description="Turns the simulator controls (/sim, $explain) on.")
    inspector: bool = Field(default=False, description="Keeps a simulation's last messages for the console to show.")
    token_seconds: int = Field(default=60, description="How long an access token lives, in seconds.")
    routine_seconds: float = Field(default=8.0, description="Deadline of a routine query, in seconds.")
    emergency_seconds: float = Field(default=4.0, description="Deadline of an emergency query, in seconds.")
    enrolment_alert: int = Field(
        default=50, gt=0, description="GPs of record one practice may replace in a day before an alert is raised."
    )
    log_level: str = Field(default="warning", description="Least severe log level written to standard error.")

    @property
    def ledger_address(self) -> str:
        """The ledger's address, the default filled in."""
        return self.ledger_url or f"sqlite:///{(self.state_dir / 'ledger.sqlite').absolute()}"

    @property
    def exchange_base(self) -> str:
        """The exchange's public base address, without a trailing slash."""
        return (self.exchange_url or f"https://localhost:{self.exchange_port}").rstrip("/")

    @property
    def token_endpoint(self) -> str:
        return self.exchange_base + "/token"
