"""The settings of telling: which couriers there are, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from ledger.settings import SettingMissingError
from office.spool import Spool
from office.telling_settings import TellingSettings
from tests.office.scene import Scene


class TestTheSettings:
    def settings(self, home: Path, **given: Any) -> TellingSettings:
        return TellingSettings.load(home, **given)

    def test_the_spool_in_the_home_is_the_default(self, tmp_path: Path) -> None:
        settings = self.settings(tmp_path)
        assert settings.couriers == ("spool",)
        assert settings.spool_folder == tmp_path / "spool"

    def test_several_are_tried_in_their_order(self, tmp_path: Path) -> None:
        settings = self.settings(tmp_path, telling="webhook, smtp,spool")
        assert settings.couriers == ("webhook", "smtp", "spool")
        assert self.settings(tmp_path, telling="off").couriers == ()

    @pytest.mark.parametrize(
        "given",
        [
            {"telling": "pigeon"},
            {"telling": "spool,spool"},
            {"telling": "off,spool"},
            {"telling": ""},
            {"smtp_from": "x"},
            {"smtp_from": "a@example.org\nBcc: b@example.org"},
            {"sms_webhook_url": "http://gateway.example.org/"},
            {"sms_webhook_url": "https://user:password@gateway.example.org/"},
            {"sms_webhook_url": "file:///x"},
        ],
    )
    def test_what_is_wrong_is_refused(
        self, tmp_path: Path, given: dict[str, str]
    ) -> None:
        with pytest.raises(ValueError, match=r"Sett"):
            self.settings(tmp_path, **given)

    def test_mail_in_the_clear_leaves_no_machine(self, tmp_path: Path) -> None:
        given = {"smtp_from": "a@example.org", "smtp_host": "mail.example.org"}
        assert self.settings(tmp_path, **given).mail_server().tls == "starttls"
        with pytest.raises(SettingMissingError):
            self.settings(tmp_path, **given, smtp_tls="none").mail_server()
        here = {**given, "smtp_host": "127.0.0.1"}
        assert self.settings(tmp_path, **here).mail_server().tls == "none"
        assert (
            self.settings(tmp_path, **here, smtp_tls="starttls").mail_server().tls
            == "starttls"
        )

    @pytest.mark.parametrize(
        "key", [None, "x", "00" * 31], ids=["none", "no-hex", "short"]
    )
    def test_a_gateway_wants_its_key(self, tmp_path: Path, key: str | None) -> None:
        settings = self.settings(
            tmp_path,
            sms_webhook_url="https://gateway.example.org/",
            sms_webhook_key=None if key is None else SecretStr(key),
        )
        with pytest.raises(SettingMissingError, match=r"SIJIL_SMS_WEBHOOK_KEY"):
            settings.webhook()

    def test_no_secret_is_in_their_repr(self, tmp_path: Path) -> None:
        settings = self.settings(
            tmp_path,
            smtp_host="mail.example.org",
            smtp_from="a@example.org",
            smtp_user="sijil",
            smtp_password="secret-word",
            sms_webhook_url="https://gateway.example.org/",
            sms_webhook_key="ab" * 32,
        )
        assert settings.webhook()[1] == b"\xab" * 32
        shown = repr(settings) + repr(settings.mail_server())
        assert "secret-word" not in shown
        assert "abab" not in shown

    def test_the_house_makes_each_courier(self, scene: Scene, tmp_path: Path) -> None:
        settings = self.settings(
            tmp_path,
            telling="smtp,webhook,spool",
            smtp_host="mail.example.org",
            smtp_from="a@example.org",
            sms_webhook_url="https://gateway.example.org/",
            sms_webhook_key="ab" * 32,
        )
        made = scene.house.telling(settings)._couriers
        assert [courier.name for courier in made] == ["smtp", "webhook", "spool"]
        assert isinstance(made[2], Spool)
