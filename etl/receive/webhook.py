"""What HighLevel posts, verified and read: performs no I/O, reads no clock, and parses nothing it has not verified.

The signed bytes are the raw body (HighLevel docs, "Webhook Authentication"). Its samples verify the body after parsing
and writing it again, which refuses genuine events as soon as a number or an escape is written differently.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from etl.ids import is_fetchable

Scheme = Literal["ed25519", "rsa"]
Outcome = Literal["queued", "no_id", "bad_id", "ignored", "install", "uninstall"]
"""What becomes of an event: its ids are queued; it is a message without any id; its id cannot be asked for; it is of no
interest; a location is added or retired."""

UNSIGNED = "N/A"
"""What HighLevel puts into a signature header when it did not sign (docs page "Webhook Authentication", 2026-08)."""

WORKFLOW = "workflow"
"""The type under which posts of the workflow action are kept."""

MESSAGE_TYPES = ("InboundMessage", "OutboundMessage")
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}\Z")
_WEBHOOK_ID = re.compile(r"[!-~]{1,128}\Z")


class WebhookRefusedError(Exception):
    """An event is not taken; ``status`` is the answer, ``reason`` a short code for the log and never for the sender."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Keys:
    """The public keys that may have signed; several of each while HighLevel changes them."""

    ed25519: Sequence[VerifyKey]
    rsa: Sequence[RSAPublicKey]


@dataclass(frozen=True, slots=True, repr=False)
class Signature:
    """A signature as it came, not yet verified."""

    scheme: Scheme
    value: bytes


@dataclass(frozen=True, slots=True)
class Policy:
    """Whose events are taken."""

    app_id: str | None = None
    """Our app; None: not known."""
    locations: Collection[str] = ()
    """The only locations of interest; empty: all."""
    max_age: float | None = None
    """Seconds since the event's own timestamp; None: any age."""


@dataclass(frozen=True, slots=True, repr=False)
class Event:
    """One event. No repr: it holds customers' words."""

    webhook_id: str
    """Unique to the event and the same in each redelivery; derived from the body when HighLevel sent none."""
    type: str
    """HighLevel's name of the event; empty when it has none that looks like a name."""
    outcome: Outcome
    body: bytes
    location_id: str = ""
    company_id: str = ""
    app_id: str | None = None
    conversation_id: str | None = None
    message_id: str | None = None
    email_id: str | None = None
    sent_at: datetime | None = None


def signature_of(ed25519: Sequence[str], rsa: Sequence[str]) -> Signature:
    """The signature to verify, from all values of ``X-GHL-Signature`` and of the older ``X-WH-Signature``.

    The older one counts only where the newer is absent: otherwise a forger could choose the weaker scheme.

    Raises:
        WebhookRefusedError: there is none, more than one, or it is no signature.
    """
    scheme: Scheme = "ed25519" if ed25519 else "rsa"
    given = ed25519 or rsa
    if not given:
        raise WebhookRefusedError(401, "unsigned")
    if len(given) > 1:
        raise WebhookRefusedError(401, "signature_ambiguous")
    if given[0].strip().upper() == UNSIGNED:
        raise WebhookRefusedError(401, "signature_not_available")
    try:
        value = base64.b64decode(given[0].strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise WebhookRefusedError(401, "signature_malformed") from error
    if scheme == "ed25519" and len(value) != 64:
        raise WebhookRefusedError(401, "signature_malformed")
    return Signature(scheme, value)


def verify(body: bytes, signature: Signature, keys: Keys) -> None:
    """Check that one of the keys signed exactly these bytes.

    Raises:
        WebhookRefusedError: none did.
    """
    if signature.scheme == "ed25519":
        genuine = any(_signed(key, signature.value, body) for key in keys.ed25519)
    else:
        genuine = any(_signed_with_rsa(key, signature.value, body) for key in keys.rsa)
    if not genuine:
        raise WebhookRefusedError(401, "signature_wrong")


def _signed(key: VerifyKey, signature: bytes, body: bytes) -> bool:
    try:
        key.verify(body, signature)
    except BadSignatureError:
        return False
    return True


def _signed_with_rsa(key: RSAPublicKey, signature: bytes, body: bytes) -> bool:
    try:
        key.verify(signature, body, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def require_secret(given: str, expected: str) -> None:
    """Compare the workflow action's shared secret, in a time that does not tell how much of it is right.

    Raises:
        WebhookRefusedError: it is another one.
    """
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode()):
        raise WebhookRefusedError(401, "secret_wrong" if given else "secret_missing")


def parse(body: bytes) -> Event:
    """Read a verified event.

    Raises:
        WebhookRefusedError: it is not a JSON object.
    """
    payload = _object(body)
    wrapped = payload.get("data")
    # The guide's sample code reads req.body.data; no event has been seen so, but reading both costs nothing.
    fields = {**wrapped, **payload} if isinstance(wrapped, dict) else payload
    message_id, email_id, named = _named(fields)
    webhook_id = fields.get("webhookId")
    return Event(
        # A retry repeats the body byte for byte, so its hash will do where there is no webhookId (docs issue 224).
        webhook_id=webhook_id
        if isinstance(webhook_id, str) and _WEBHOOK_ID.match(webhook_id)
        else f"sha256:{hashlib.sha256(body).hexdigest()}",
        type=_word(fields.get("type")),
        outcome=_outcome(fields.get("type"), found=bool(message_id or email_id), named=named),
        body=body,
        location_id=_id(fields.get("locationId")) or "",
        company_id=_id(fields.get("companyId")) or "",
        app_id=_text(fields.get("appId")),
        conversation_id=_id(fields.get("conversationId")),
        message_id=message_id,
        email_id=email_id,
        sent_at=_moment(fields.get("timestamp")),
    )


def parse_workflow(body: bytes, *, webhook_id: str) -> Event:
    """Read a post of the workflow action: whatever JSON its author composed.

    ``message_id`` is at the top, or in ``customData``, where the standard action puts what its author adds.

    Raises:
        WebhookRefusedError: it is not a JSON object, or names no message that could be fetched.
    """
    payload = _object(body)
    places = [payload, *(each for each in (payload.get("customData"),) if isinstance(each, dict))]
    given = _first(places, "message_id", "messageId")
    if given is None:
        raise WebhookRefusedError(400, "no_message_id")
    message_id = _id(given)
    # HighLevel writes the word null where a merge field has no value.
    if message_id is None or message_id == "null":
        raise WebhookRefusedError(400, "bad_message_id")
    location = payload.get("location")
    location_id = _first(places, "location_id", "locationId") or (
        location.get("id") if isinstance(location, dict) else None
    )
    return Event(webhook_id, WORKFLOW, "queued", body, location_id=_id(location_id) or "", message_id=message_id)


def admit(event: Event, policy: Policy, *, now: datetime) -> Event:
    """Check that an event is meant for us: one key signs for every app, so a signature alone does not tell.

    Raises:
        WebhookRefusedError: it is for another app, too old, or (with status 200) of a location without interest.
    """
    changes_locations = event.outcome in ("install", "uninstall")
    if policy.app_id and event.app_id and event.app_id != policy.app_id:
        # An event without appId is taken: real ones came without (docs issue 224), and naming a message does no harm.
        raise WebhookRefusedError(401, "wrong_app")
    of_interest = event.location_id in policy.locations or (changes_locations and not event.location_id)
    if policy.locations and not of_interest:
        # Not an error: HighLevel posts the events of every location that has the app, and pauses the events of a URL
        # that refuses many (webhook guide, "circuit breaker").
        raise WebhookRefusedError(200, "location_not_allowed")
    if policy.max_age is not None:
        _require_young(event, policy.max_age, now)
    if changes_locations and not (policy.app_id and event.app_id):
        # Anyone can make an app and have its events posted here, so these must be known to be our app's.
        return replace(event, outcome="ignored")
    return event


def _require_young(event: Event, max_age: float, now: datetime) -> None:
    if event.sent_at is None:
        raise WebhookRefusedError(401, "no_timestamp")
    if (now - event.sent_at).total_seconds() > max_age:
        raise WebhookRefusedError(401, "too_old")


def _object(body: bytes) -> dict[str, Any]:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WebhookRefusedError(400, "not_json") from error
    if not isinstance(payload, dict):
        raise WebhookRefusedError(400, "not_an_object")
    return payload


def _named(fields: Mapping[str, Any]) -> tuple[str | None, str | None, bool]:
    """The message and the email that an event names, and whether it names anything at all.

    Email events carry no messageId: threadId is the message, emailMessageId the email (docs issue 255). A provider's
    email has messageId and emailMessageId.
    """
    email = fields.get("emailMessageId")
    thread = fields.get("threadId") if email or fields.get("messageType") == "Email" else None
    message = thread or fields.get("messageId")
    return _id(message), _id(email), bool(message or email)


def _outcome(event_type: object, *, found: bool, named: bool) -> Outcome:
    if event_type == "INSTALL":
        return "install"
    if event_type == "UNINSTALL":
        return "uninstall"
    if found:
        return "queued"
    if named:
        return "bad_id"
    return "no_id" if event_type in MESSAGE_TYPES else "ignored"


def _first(places: Sequence[Mapping[str, Any]], *names: str) -> object:
    return next((place[name] for place in places for name in names if place.get(name)), None)


def _id(value: object) -> str | None:
    return value if isinstance(value, str) and is_fetchable(value) else None


def _word(value: object) -> str:
    return value if isinstance(value, str) and _WORD.match(value) else ""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC) if moment else None
