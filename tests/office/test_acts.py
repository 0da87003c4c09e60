"""The path of an act where it gets narrow: races, clocks, a store in trouble."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from eventsourcing.persistence import OperationalError

from domain.access import Principal
from domain.acts import Act, ActorKind
from domain.errors import EffectiveTimeError, NotFoundError, WrongStateError
from domain.ids import code_id
from domain.money import Unit
from domain.requests import Channel, PaymentChannel, ServiceRequest
from ledger.names import Role
from office.acts import Acts, Envelope
from office.commands import PayFee
from office.errors import (
    CommandReusedError,
    LedgerUnavailableError,
    StaleVersionError,
)
from office.house import House
from tests.office.scene import (
    BANK,
    CLERK,
    MARKED_NUMBER,
    SUPERVISOR,
    Scene,
    days,
    envelope,
    submission,
)


def payment(request_id: UUID, principal: Principal = CLERK) -> PayFee:
    is_bank = principal.role is ActorKind.BANK
    return PayFee(
        request_id=request_id,
        token=None if is_bank else 1,
        channel=PaymentChannel.BANK if is_bank else PaymentChannel.CASH,
        amount=3000,
        unit=Unit.NEW,
        bank_reference="B-1" if is_bank else None,
    )


@contextmanager
def suspended(scene: Scene) -> Iterator[None]:
    """The ledger as it stands after a restore: it reads, and refuses appends."""
    owner = scene.database.datastore(Role.OWNER)
    with owner.transaction() as cursor:
        cursor.execute("SELECT suspend()")
    try:
        yield
    finally:
        with owner.transaction() as cursor:
            cursor.execute("SELECT resume_as_new_incarnation()")


class TestSentTwiceAtOnce:
    """The second looks before the first is stored, and loads after it."""

    @pytest.mark.parametrize(
        ("principal", "is_seen_again"),
        [(CLERK, False), (CLERK, True), (BANK, False)],
        ids=["its-page-is-stale", "nothing-is-due", "it-left-the-banks-scope"],
    )
    def test_the_second_is_a_repeat_and_no_attempt(
        self, scene: Scene, principal: Principal, is_seen_again: bool
    ) -> None:
        request_id = scene.assigned()
        command = payment(request_id, principal)
        first = scene.seen(request_id, principal, "payment")
        scope = principal if principal is BANK else CLERK
        acts = scene.house.acts
        seen = first.if_version
        assert seen is not None
        second = Envelope(
            principal=principal,
            command_id=first.command_id,
            route=first.route,
            if_version=seen + 1 if is_seen_again else seen,
        )
        stored = []

        def load(wanted: UUID) -> ServiceRequest:
            if not stored:
                stored.append(scene.requests.pay(command, first))
            return scene.requests.get(wanted, scope)

        def decide(request: ServiceRequest, act: Act) -> None:
            request.pay(
                act,
                channel=command.channel,
                amount=command.amount,
                unit=command.unit,
                bank_reference=command.bank_reference,
                token=command.token,
            )

        done = acts.on_request(
            second, acts.command(second, command), request_id, load, decide
        )
        assert done.is_repeat
        assert done.last_position == stored[0].last_position
        assert not scene.attempts()

    def test_another_command_in_that_moment_is_still_refused(
        self, scene: Scene
    ) -> None:
        request_id = scene.assigned()
        env = scene.seen(request_id, CLERK, "payment")
        scene.pay(request_id)
        with pytest.raises(StaleVersionError):
            scene.requests.pay(payment(request_id), env)
        with pytest.raises(WrongStateError):
            scene.requests.pay(
                payment(request_id), scene.seen(request_id, CLERK, "payment")
            )
        assert len(scene.attempts()) == 1


class TestClocks:
    def behind(self, scene: Scene, seconds: int) -> House:
        """A house of another process, whose clock is behind."""
        return House(
            scene.database.settings,
            clock=lambda: datetime.now(UTC) - timedelta(seconds=seconds),
        )

    def test_nobody_is_refused_for_the_difference_of_two_clocks(
        self, scene: Scene
    ) -> None:
        request_id = scene.assigned()
        with self.behind(scene, 30) as other:
            other.requests.pay(
                payment(request_id), scene.seen(request_id, CLERK, "payment")
            )
        *_, before, paid = scene.entries(request_id)
        times = [json.loads(entry.body)["effective_at"] for entry in (before, paid)]
        assert times[0] == times[1]

    def test_a_time_that_was_claimed_is_not_moved(self, scene: Scene) -> None:
        request_id = scene.assigned()
        before = scene.get(request_id).modified_on
        with pytest.raises(EffectiveTimeError) as caught:
            scene.requests.pay(
                payment(request_id),
                scene.seen(
                    request_id,
                    CLERK,
                    "payment",
                    effective_at=before - timedelta(microseconds=1),
                ),
            )
        assert caught.value.reason == "before-previous"

    def test_a_supervisor_approves_in_the_own_name_only(self, scene: Scene) -> None:
        with pytest.raises(EffectiveTimeError) as caught:
            scene.requests.submit(
                submission(),
                envelope(
                    SUPERVISOR,
                    effective_at=scene.clock() - days(8),
                    approved_by="sup-HL",
                ),
            )
        assert caught.value.reason == "needs-approval"


class TestAStoreInTrouble:
    def test_an_unrecorded_attempt_never_hides_the_refusal(
        self, scene: Scene, capsys: pytest.CaptureFixture[str]
    ) -> None:
        request_id = scene.assigned()
        env = scene.seen(request_id, CLERK, "stamp")
        with suspended(scene), pytest.raises(WrongStateError):
            scene.stamp(request_id)
        assert "office.attempt_not_recorded" in "".join(capsys.readouterr())
        assert not scene.attempts()
        assert scene.get(request_id).etag_version == env.if_version

    def test_a_store_that_fails_while_deciding_is_unavailable(
        self, scene: Scene
    ) -> None:
        request_id = scene.assigned()
        env = scene.seen(request_id, CLERK, "payment")
        acts = scene.house.acts

        def decide(_: ServiceRequest, __: Act) -> None:
            raise OperationalError("away")

        with pytest.raises(LedgerUnavailableError):
            acts.on_request(
                env, acts.command(env, "asked"), request_id, scene.get, decide
            )

    def test_the_vault_is_written_first_and_once(self, scene: Scene) -> None:
        env = envelope(CLERK)
        head = scene.house.ledger.reader.head().position
        with suspended(scene), pytest.raises(LedgerUnavailableError):
            scene.requests.submit(submission(), env)
        (waiting,) = scene.house.vault.find_parties("national_number", MARKED_NUMBER)
        assert scene.house.ledger.reader.head().position == head
        done = scene.requests.submit(submission(), env)
        (party,) = scene.get(done.aggregate_id).parties
        assert party.id == waiting
        assert scene.house.vault.find_parties("national_number", MARKED_NUMBER) == [
            party.id
        ]


class TestWhoMayAsk:
    def test_staff_of_no_centre_take_no_requests(self, scene: Scene) -> None:
        nowhere = Principal(role=ActorKind.CLERK, id="clk-DI-1")
        with pytest.raises(NotFoundError):
            scene.submit(nowhere, centre="SY-DI-01")

    def test_two_citizens_share_no_command(self, scene: Scene) -> None:
        online = {
            "channel": Channel.ONLINE,
            "centre": "SY-DI-01",
            "accept_now": False,
        }
        one, other = (
            Principal(role=ActorKind.CITIZEN, id=f"subject-{number}")
            for number in (1, 2)
        )
        env = envelope(one)
        scene.requests.submit(submission(**online), env)
        with pytest.raises(CommandReusedError):
            scene.requests.submit(
                submission(**online), envelope(other, command_id=env.command_id)
            )


class TestNames:
    """A name means one thing for ever, whoever says so first."""

    def test_what_a_name_means_may_be_said_again_and_not_otherwise(
        self, scene: Scene
    ) -> None:
        acts = scene.house.acts
        before = scene.entries()
        for _ in range(2):
            acts.bind("payment/bank-1/B-1", {"amount": 1})
        acts.bind("payment/bank-2/B-1", {"amount": 2})
        with pytest.raises(CommandReusedError):
            acts.bind("payment/bank-1/B-1", {"amount": 2})
        assert scene.entries() == before

    def test_no_name_can_be_used_up_by_who_guesses_its_id(self, scene: Scene) -> None:
        """The id is keyed: another installation's is another."""
        guessed = code_id("bound", "payment/bank-1/B-1")
        scene.requests.submit(submission(), envelope(CLERK, command_id=guessed))
        scene.house.acts.bind("payment/bank-1/B-1", {"amount": 1})
        other = Acts(scene.house.ledger, command_key=b"another", backdating=timedelta())
        other.bind("payment/bank-1/B-1", {"amount": 2})
