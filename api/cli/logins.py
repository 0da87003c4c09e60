"""Logins for development: one for each role of the seeded centre, and how to mint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from api import tokens
from api.cli.failures import COULD_NOT_ASK, Failure
from api.cli.server import RunningServer
from api.cli.settings import ClientSettings
from api.settings import ApiSettings
from domain.acts import ActorKind
from domain.errors import InvalidValueError
from domain.naming import checked_code

LIFESPAN = timedelta(hours=12)
"""A working day; a new one costs one command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who logs in: what a token says of its bearer. Codes, never names."""

    role: ActorKind
    subject: str
    centre: str | None = None
    governorate: str | None = None
    agency: str | None = None

    @property
    def described(self) -> str:
        """The login as one line for people."""
        places = (self.centre, self.agency, self.governorate)
        return " ".join(filter(None, (self.role, self.subject, *places)))


LOGINS = (
    Login(role=ActorKind.CLERK, subject="clk-DI-1", centre="SY-DI-01"),
    Login(role=ActorKind.SUPERVISOR, subject="sup-DI-1", centre="SY-DI-01"),
    Login(role=ActorKind.ADMINISTRATOR, subject="adm-1"),
    Login(
        role=ActorKind.AGENCY, subject="officer-1", agency="CIV", governorate="SY-DI"
    ),
    Login(role=ActorKind.POST, subject="post-1"),
    Login(role=ActorKind.BANK, subject="bank-1"),
    Login(role=ActorKind.CITIZEN, subject="citizen-1"),
    Login(role=ActorKind.AUDITOR, subject="aud-1"),
)
"""One login for each role, at the centre that the reference data opens in Damascus."""


def login_of(
    role: ActorKind,
    *,
    subject: str | None = None,
    centre: str | None = None,
    agency: str | None = None,
    governorate: str | None = None,
) -> Login:
    """The login of a role; what is given stands instead of the seeded place.

    An empty ``governorate`` is that of an agency that exists once.
    """
    for login in LOGINS:
        if login.role is role:
            made = replace(
                login,
                subject=subject or login.subject,
                centre=centre or login.centre,
                agency=agency or login.agency,
                governorate=login.governorate if governorate is None else governorate,
            )
            _must_be_codes(made)
            return made
    raise Failure(
        f"there are no tokens for {role}", why="it is Sijil's own actor", exit_code=2
    )


def _must_be_codes(login: Login) -> None:
    """Raise Failure where a login names what can be no code: nobody would believe it.

    What was typed is not repeated. A citizen's subject is whatever the provider says.
    """
    named = {
        "subject": None if login.role is ActorKind.CITIZEN else login.subject,
        "centre": login.centre,
        "agency": login.agency,
        "governorate": login.governorate,
    }
    for what, code in named.items():
        try:
            checked_code(code or "none", field=what)
        except InvalidValueError as error:
            raise Failure(
                f"the {what} that was given can be no code",
                why="a code has letters, digits, dots and hyphens, as SY-DI-01, and is "
                "nobody's own number",
                exit_code=COULD_NOT_ASK,
            ) from error


def mint(settings: ApiSettings, login: Login, *, lifespan: timedelta = LIFESPAN) -> str:
    """A development token. Raises Failure where an identity provider is set."""
    try:
        return tokens.mint(
            settings,
            role=login.role,
            subject=login.subject,
            now=datetime.now(UTC),
            lifespan=lifespan,
            centre=login.centre,
            governorate=login.governorate or None,
            agency=login.agency,
        )
    except PermissionError as error:
        raise Failure(
            "no development token can be minted",
            why=str(error),
            then="give the provider's token in SIJIL_TOKEN",
            exit_code=COULD_NOT_ASK,
        ) from error


def connect(login: Login) -> RunningServer:
    """The running server, asked with SIJIL_TOKEN, else as ``login``."""
    client = ClientSettings()
    door = ApiSettings.load()
    token = mint(door, login) if client.token is None else None
    return RunningServer(
        client.url or door.own_url,
        token or (client.token.get_secret_value() if client.token else ""),
    )
