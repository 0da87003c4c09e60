"""The factory that ``PERSISTENCE_MODULE=ledger.persistence`` names."""

from __future__ import annotations

from typing import Any

from eventsourcing.persistence import (
    InfrastructureFactory,
    InfrastructureFactoryError,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, resolve_topic, strtobool

from ledger.persistence.committer import CommitterLimits
from ledger.persistence.datastore import (
    MAX_OVERFLOW,
    POOL_SIZE,
    POOL_TIMEOUT_S,
    PostgresDatastore,
)
from ledger.persistence.recorders import (
    PostgresAggregateRecorder,
    PostgresApplicationRecorder,
    PostgresProcessRecorder,
    PostgresTrackingRecorder,
)


class PostgresFactory(InfrastructureFactory[PostgresTrackingRecorder]):
    """Makes the recorders from an application's environment.

    Reads ``POSTGRES_DBNAME``, ``POSTGRES_HOST``, ``POSTGRES_PORT``,
    ``POSTGRES_USER``, ``POSTGRES_PASSWORD``, ``POSTGRES_SCHEMA``,
    ``POSTGRES_POOL_SIZE``, ``POSTGRES_MAX_OVERFLOW``, ``POSTGRES_POOL_TIMEOUT`` and
    ``CREATE_TABLE``. Raises InfrastructureFactoryError when the database is not named.
    """

    POSTGRES_DBNAME = "POSTGRES_DBNAME"
    CREATE_TABLE = "CREATE_TABLE"

    aggregate_recorder_class = PostgresAggregateRecorder
    application_recorder_class = PostgresApplicationRecorder
    tracking_recorder_class = PostgresTrackingRecorder
    process_recorder_class = PostgresProcessRecorder

    def __init__(
        self,
        env: Environment,
        *,
        datastore: PostgresDatastore | None = None,
        limits: CommitterLimits | None = None,
    ) -> None:
        super().__init__(env)
        self._limits = {} if limits is None else {"limits": limits}
        self.datastore = datastore or self._datastore_of(env)

    def _datastore_of(self, env: Environment) -> PostgresDatastore:
        dbname = env.get(self.POSTGRES_DBNAME)
        if not dbname:
            raise InfrastructureFactoryError(
                f"the name of the database is missing: set {self.POSTGRES_DBNAME}"
            )
        dsn = {"dbname": dbname}
        for name in ("host", "port", "user", "password"):
            value = env.get(f"POSTGRES_{name.upper()}")
            if value:
                dsn[name] = value
        return PostgresDatastore(
            dsn,
            schema=env.get("POSTGRES_SCHEMA") or "public",
            pool_size=int(env.get("POSTGRES_POOL_SIZE") or POOL_SIZE),
            max_overflow=int(env.get("POSTGRES_MAX_OVERFLOW") or MAX_OVERFLOW),
            pool_timeout_s=float(env.get("POSTGRES_POOL_TIMEOUT") or POOL_TIMEOUT_S),
        )

    def _may_create(self) -> bool:
        return bool(strtobool(self.env.get(self.CREATE_TABLE) or "yes"))

    def _recorder_class(self, name: str, default: type[Any]) -> type[Any]:
        topic = self.env.get(name)
        return resolve_topic(topic) if topic else default

    def aggregate_recorder(self, purpose: str = "events") -> PostgresAggregateRecorder:
        """A recorder of a plain table named after the application and the purpose."""
        prefix = self.env.name.lower() or "stored"
        recorder = self.aggregate_recorder_class(
            self.datastore, table_name=f"{prefix}_{purpose}"
        )
        if self._may_create():
            recorder.create_table()
        return recorder

    def application_recorder(self) -> PostgresApplicationRecorder:
        """The recorder of the schema's ledger."""
        recorder_class = self._recorder_class(
            "APPLICATION_RECORDER_TOPIC", self.application_recorder_class
        )
        recorder: PostgresApplicationRecorder = recorder_class(
            self.datastore, **self._limits
        )
        if self._may_create():
            recorder.create_table()
        return recorder

    def tracking_recorder(
        self, tracking_recorder_class: type[TrackingRecorder] | None = None
    ) -> Any:
        """A recorder of high-water marks; of the given class when one is given."""
        recorder_class: type[Any] = tracking_recorder_class or self._recorder_class(
            "TRACKING_RECORDER_TOPIC", self.tracking_recorder_class
        )
        recorder = recorder_class(self.datastore)
        if self._may_create():
            recorder.create_table()
        return recorder

    def process_recorder(self) -> PostgresProcessRecorder:
        """The recorder of the schema's ledger and its marks."""
        recorder_class = self._recorder_class(
            "PROCESS_RECORDER_TOPIC", self.process_recorder_class
        )
        recorder: PostgresProcessRecorder = recorder_class(
            self.datastore, **self._limits
        )
        if self._may_create():
            recorder.create_table()
        return recorder

    def close(self) -> None:
        """Close the connections."""
        self.datastore.close()


Factory = PostgresFactory
