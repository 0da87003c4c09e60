"""Letters of senders: signed messages as an agency, the post or a bank makes them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consumers.inward.records import InwardMessage
from consumers.inward.signatures import KEY_ID, SIGNATURE, Senders, signed_bytes

Sign = Callable[[bytes], bytes]
SECRET = bytes(range(32))
OTHER_SECRET = bytes(range(1, 33))
ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(32))
PUBLIC = ED25519.public_key().public_bytes_raw()
FILE = f"""
[[sender]]
kind = "agency"
id = "officer-1"
agency = "CIV"
governorate = "SY-DI"
[[sender.key]]
id = "civ-1"
algorithm = "hmac-sha256"
secret = "{SECRET.hex()}"
[[sender.key]]
id = "civ-2"
algorithm = "ed25519"
public_key = "{PUBLIC.hex()}"

[[sender]]
kind = "post"
id = "post-1"
[[sender.key]]
id = "post-key"
algorithm = "hmac-sha256"
secret = "{SECRET.hex()}"

[[sender]]
kind = "bank"
id = "bank-1"
[[sender.key]]
id = "bank-key"
algorithm = "hmac-sha256"
secret = "{SECRET.hex()}"
"""


def by_secret(secret: bytes = SECRET) -> Sign:
    return lambda signed: hmac.digest(secret, signed, hashlib.sha256)


def senders_file(folder: Path, text: str = FILE) -> Path:
    path = folder / "senders.toml"
    # In one step: a worker that was begun before may be reading it.
    new = folder / "senders.new"
    new.write_text(text, encoding="utf-8")
    new.chmod(0o600)
    return new.replace(path)


def senders(folder: Path) -> Senders:
    return Senders.read(senders_file(folder))


def written(**facts: Any) -> bytes:
    """A value; ``happened_at`` is now unless it is said."""
    at = facts.pop("happened_at", datetime.now(UTC))
    told = at.isoformat() if isinstance(at, datetime) else at
    return json.dumps({"happened_at": told, **facts}).encode()


def signature(
    topic: str, key: bytes | None, value: bytes, key_id: str, sign: Sign
) -> list[tuple[str, bytes]]:
    """The headers of a signed message."""
    signed = signed_bytes(topic=topic, key_id=key_id, key=key, value=value)
    return [(KEY_ID, key_id.encode()), (SIGNATURE, base64.b64encode(sign(signed)))]


def letter(
    value: bytes = b"{}",
    *,
    topic: str = "sijil.agency-replies.v1",
    key: bytes | None = b"k",
    key_id: str = "civ-1",
    sign: Sign | None = None,
    offset: int = 0,
    **changes: Any,
) -> InwardMessage:
    """A message as it stands on a topic; ``changes`` come after it was signed."""
    headers = signature(topic, key, value, key_id, sign or by_secret())
    return InwardMessage(
        **{
            "topic": topic,
            "partition": 0,
            "offset": offset,
            "key": key,
            "value": value,
            "headers": tuple(headers),
            "timestamp_ms": 0,
            **changes,
        }
    )
