"""What ``sijil run`` keeps running of the streams, where there is a broker."""

from __future__ import annotations

from pathlib import Path

from consumers.analytics.cli import is_installed
from consumers.broker.jars import why_not
from consumers.settings import BrokerSettings, KafkaSettings
from office.processes import Contribution, Process

_FOLLOWERS = (
    Process(name="relay", arguments=("relay",)),
    Process(name="analytics", arguments=("analytics", "follow")),
    Process(name="inward", arguments=("inward",)),
)


def processes(home: Path, *, with_broker: bool) -> Contribution:
    """The streams' processes: none without a broker, which a sentence then says.

    ``with_broker``: one of our own is wanted where the settings name none.
    """
    named = KafkaSettings.load(home).kafka
    if named is not None:
        return Contribution(
            processes=_installed(home),
            said=f"the streams go to the Kafka of SIJIL_KAFKA{_left_out(home)}",
            shown={"Kafka": named},
        )
    if not with_broker:
        return Contribution(
            said="no Kafka is named, so nothing is published; `make run KAFKA=1` "
            "starts one, SIJIL_KAFKA names another"
        )
    settings = BrokerSettings()
    missing = why_not(settings.broker_jars)
    if missing is not None:
        return Contribution(
            said=f"no Kafka can be started, because {missing}; everything else works"
        )
    serves = settings.serves(home)
    # What a killed broker left says nothing of the next.
    serves.unlink(missing_ok=True)
    here = {"SIJIL_KAFKA": settings.bootstrap, "SIJIL_KAFKA_PROTOCOL": "PLAINTEXT"}
    return Contribution(
        processes=(
            Process(name="broker", arguments=("broker",)),
            *(
                Process(
                    name=each.name,
                    arguments=each.arguments,
                    environment=here,
                    may_start=serves.exists,
                )
                for each in _installed(home)
            ),
        ),
        said=f"Kafka starts too, and the streams once it serves{_left_out(home)}",
        shown={"Kafka": f"{settings.bootstrap} (for commands: SIJIL_KAFKA)"},
    )


def _installed(home: Path) -> tuple[Process, ...]:
    """The followers that can run here."""
    missing = _missing(home)
    return tuple(each for each in _FOLLOWERS if each.name not in missing)


def _missing(home: Path) -> dict[str, str]:
    """What cannot run here, and why."""
    missing = {}
    if not is_installed():
        missing["analytics"] = "the extra `analytics` is not installed"
    senders = KafkaSettings.load(home).senders_of(home)
    if not senders.exists():
        missing["inward"] = f"there is no {senders} to say who may send messages"
    return missing


def _left_out(home: Path) -> str:
    return "".join(f"; no {name}: {why}" for name, why in _missing(home).items())
