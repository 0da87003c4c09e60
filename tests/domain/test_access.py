"""Who sees which rows, and who may do which act: one table."""

from __future__ import annotations

import pytest

from domain.access import ROLES_OF, Permission, Principal, Whereabouts
from domain.acts import ActorKind
from domain.errors import NotFoundError, RoleForbiddenError

HERE = Whereabouts(
    centre="SY-DI-01",
    governorate="SY-DI",
    agency="CIV",
    is_forwarded=True,
    is_mailed=True,
    is_fee_outstanding=True,
    parties=frozenset({"p1"}),
)
BEFORE = Whereabouts(
    centre="SY-DI-01",
    governorate="SY-DI",
    agency="CIV",
    is_forwarded=False,
    is_mailed=False,
    is_fee_outstanding=False,
)
K = ActorKind


@pytest.mark.parametrize(
    ("who", "sees_it", "sees_it_before"),
    [
        (Principal(role=K.CLERK, id="c", centre="SY-DI-01"), True, True),
        (Principal(role=K.CLERK, id="c", centre="SY-HL-01"), False, False),
        (Principal(role=K.CLERK, id="c"), False, False),
        (Principal(role=K.SUPERVISOR, id="s", centre="SY-DI-01"), True, True),
        (Principal(role=K.AGENCY, id="a", agency="CIV"), True, False),
        (
            Principal(role=K.AGENCY, id="a", agency="CIV", governorate="SY-DI"),
            True,
            False,
        ),
        (
            Principal(role=K.AGENCY, id="a", agency="CIV", governorate="SY-HL"),
            False,
            False,
        ),
        (Principal(role=K.AGENCY, id="a", agency="LND"), False, False),
        (Principal(role=K.AGENCY, id="a"), False, False),
        (Principal(role=K.POST, id="p"), True, False),
        (Principal(role=K.BANK, id="b"), True, False),
        (
            Principal(role=K.CITIZEN, id="x", parties=frozenset({"p1"})),
            True,
            False,
        ),
        (
            Principal(role=K.CITIZEN, id="x", parties=frozenset({"p2"})),
            False,
            False,
        ),
        (Principal(role=K.CITIZEN, id="x"), False, False),
        (Principal(role=K.AUDITOR, id="o"), True, True),
        (Principal(role=K.ADMINISTRATOR, id="m"), True, True),
    ],
)
def test_rows_in_scope(
    who: Principal,
    sees_it: bool,
    sees_it_before: bool,
) -> None:
    assert who.scope.includes(HERE) is sees_it
    assert who.scope.includes(BEFORE) is sees_it_before
    if not sees_it:
        with pytest.raises(NotFoundError):
            who.must_see(HERE)


def test_every_permission_names_its_roles() -> None:
    assert set(ROLES_OF) == set(Permission)


def test_a_role_without_permission_is_told_so() -> None:
    auditor = Principal(role=K.AUDITOR, id="o")
    auditor.must_be_allowed(Permission.READ_ENTRY)
    with pytest.raises(RoleForbiddenError):
        auditor.must_be_allowed(Permission.ACCEPT)


def test_only_oversight_and_staff_read_across() -> None:
    for permission in (Permission.READ_COUNTS, Permission.READ_TRAIL):
        assert K.CITIZEN not in ROLES_OF[permission]
        assert K.AGENCY not in ROLES_OF[permission]
