"""The message types HighLevel documents, as data: number, short name, how often each is met. Performs no I/O."""

from dataclasses import dataclass
from typing import Literal

Channel = Literal["text", "call", "email", "social", "whatsapp", "chat", "comment", "activity", "provider", "review"]


@dataclass(frozen=True, slots=True)
class MessageType:
    """One value of ``messageType``.

    Attributes:
        name: the documented enum value, ``TYPE_SMS``.
        code: the number in ``type``.
        channel: which fields such a message carries.
        weight: how often it is met, relative to the others; 0 for the rare ones.
        short: the name webhooks use, and the documented GET example; None where none has been seen.
    """

    name: str
    code: int
    channel: Channel
    weight: int = 0
    short: str | None = None


# The 42 documented names: HighLevel docs, apps/conversations.json. Numbers up to 38: one public codebase, partly
# confirmed by docs issues 212, 224, 258 and 260. The numbers of the last six are not public: 901 to 906 are made up
# here, far from the real range, so that a reader who trusts them finds out.
MESSAGE_TYPES = (
    MessageType("TYPE_SMS", 2, "text", 560, "SMS"),
    MessageType("TYPE_CALL", 1, "call", 110, "CALL"),
    MessageType("TYPE_EMAIL", 3, "email", 90, "Email"),
    MessageType("TYPE_WHATSAPP", 19, "whatsapp", 60, "WhatsApp"),
    MessageType("TYPE_FACEBOOK", 11, "social", 30, "FB"),
    MessageType("TYPE_INSTAGRAM", 18, "social", 30, "IG"),
    MessageType("TYPE_LIVE_CHAT", 29, "chat", 25, "Live Chat"),
    MessageType("TYPE_GMB", 15, "social", 10, "GMB"),
    MessageType("TYPE_CUSTOM_PROVIDER_SMS", 22, "provider", 15, "Custom"),
    MessageType("TYPE_INTERNAL_COMMENT", 37, "comment", 20, "InternalComment"),
    MessageType("TYPE_ACTIVITY_APPOINTMENT", 31, "activity", 15),
    MessageType("TYPE_ACTIVITY_OPPORTUNITY", 28, "activity", 10),
    MessageType("TYPE_ACTIVITY_CONTACT", 25, "activity", 10),
    MessageType("TYPE_CAMPAIGN_SMS", 7, "text", 10),
    MessageType("TYPE_CAMPAIGN_VOICEMAIL", 10, "call", 5, "VoiceMail"),
    MessageType("TYPE_SMS_REVIEW_REQUEST", 4, "text"),
    MessageType("TYPE_WEBCHAT", 5, "chat"),
    MessageType("TYPE_SMS_NO_SHOW_REQUEST", 6, "text"),
    MessageType("TYPE_CAMPAIGN_CALL", 8, "call"),
    MessageType("TYPE_CAMPAIGN_EMAIL", 9, "email"),
    MessageType("TYPE_CAMPAIGN_FACEBOOK", 12, "social"),
    MessageType("TYPE_CAMPAIGN_MANUAL_CALL", 13, "call"),
    MessageType("TYPE_CAMPAIGN_MANUAL_SMS", 14, "text"),
    MessageType("TYPE_CAMPAIGN_GMB", 16, "social"),
    MessageType("TYPE_REVIEW", 17, "review"),
    MessageType("TYPE_CUSTOM_SMS", 20, "text"),
    MessageType("TYPE_CUSTOM_EMAIL", 21, "email"),
    MessageType("TYPE_CUSTOM_PROVIDER_EMAIL", 23, "email"),
    MessageType("TYPE_IVR_CALL", 24, "call"),
    MessageType("TYPE_ACTIVITY_INVOICE", 26, "activity"),
    MessageType("TYPE_ACTIVITY_PAYMENT", 27, "activity"),
    MessageType("TYPE_LIVE_CHAT_INFO_MESSAGE", 30, "chat"),
    MessageType("TYPE_FACEBOOK_COMMENT", 32, "social"),
    MessageType("TYPE_INSTAGRAM_COMMENT", 33, "social"),
    MessageType("TYPE_CUSTOM_CALL", 34, "call"),
    MessageType("TYPE_ACTIVITY_EMPLOYEE_ACTION_LOG", 38, "activity"),
    MessageType("TYPE_RCS", 901, "text"),
    MessageType("TYPE_TIKTOK", 902, "social"),
    MessageType("TYPE_TIKTOK_COMMENT", 903, "social"),
    MessageType("TYPE_ACTIVITY_WHATSAPP", 904, "activity"),
    MessageType("TYPE_FORM_SUBMISSION", 905, "activity"),
    MessageType("TYPE_SMS_REACTION", 906, "text"),
)
COMMON = tuple(kind for kind in MESSAGE_TYPES if kind.weight)
BY_NAME = {kind.name: kind for kind in MESSAGE_TYPES}
