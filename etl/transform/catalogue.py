"""The known values of the API's enumerations; data only. Any other value is kept and reported as drift.

Message types: the 42 of the conversations OpenAPI file in GoHighLevel/highlevel-api-docs, plus the names of the
documented and observed numbers. Public codebases give the numbers, and these confirm some:
https://github.com/GoHighLevel/highlevel-api-docs/issues/212
https://github.com/GoHighLevel/highlevel-api-docs/issues/224
https://github.com/GoHighLevel/highlevel-api-docs/issues/258
https://github.com/GoHighLevel/highlevel-api-docs/issues/260
"""

TYPE_OF_CODE = {
    1: "TYPE_CALL",
    2: "TYPE_SMS",
    3: "TYPE_EMAIL",
    4: "TYPE_SMS_REVIEW_REQUEST",
    5: "TYPE_WEBCHAT",
    6: "TYPE_SMS_NO_SHOW_REQUEST",
    7: "TYPE_CAMPAIGN_SMS",
    8: "TYPE_CAMPAIGN_CALL",
    9: "TYPE_CAMPAIGN_EMAIL",
    10: "TYPE_VOICEMAIL",
    11: "TYPE_FACEBOOK",
    12: "TYPE_CAMPAIGN_FACEBOOK",
    13: "TYPE_CAMPAIGN_MANUAL_CALL",
    14: "TYPE_CAMPAIGN_MANUAL_SMS",
    15: "TYPE_GMB",
    16: "TYPE_CAMPAIGN_GMB",
    17: "TYPE_REVIEW",
    18: "TYPE_INSTAGRAM",
    19: "TYPE_WHATSAPP",
    20: "TYPE_CUSTOM_SMS",
    21: "TYPE_CUSTOM_EMAIL",
    22: "TYPE_CUSTOM_PROVIDER_SMS",
    23: "TYPE_CUSTOM_PROVIDER_EMAIL",
    24: "TYPE_IVR_CALL",
    25: "TYPE_ACTIVITY_CONTACT",
    26: "TYPE_ACTIVITY_INVOICE",
    27: "TYPE_ACTIVITY_PAYMENT",
    28: "TYPE_ACTIVITY_OPPORTUNITY",
    29: "TYPE_LIVE_CHAT",
    30: "TYPE_LIVE_CHAT_INFO_MESSAGE",
    31: "TYPE_ACTIVITY_APPOINTMENT",
    32: "TYPE_FACEBOOK_COMMENT",
    33: "TYPE_INSTAGRAM_COMMENT",
    34: "TYPE_CUSTOM_CALL",
    35: "TYPE_GROUP_SMS",
    36: "TYPE_INTERNAL_CHAT",
    37: "TYPE_INTERNAL_COMMENT",
    38: "TYPE_ACTIVITY_EMPLOYEE_ACTION_LOG",
    41: "TYPE_TIKTOK",
    42: "TYPE_TIKTOK_COMMENT",
}

UNNUMBERED_TYPES = (
    "TYPE_RCS",
    "TYPE_CAMPAIGN_VOICEMAIL",
    "TYPE_ACTIVITY_WHATSAPP",
    "TYPE_FORM_SUBMISSION",
    "TYPE_SMS_REACTION",
)

MESSAGE_TYPES = frozenset((*TYPE_OF_CODE.values(), *UNNUMBERED_TYPES))
"""What each type means (channel, activity, internal) is in the table ``message_types``, filled by migrations."""

SHORT_NAMES = {
    "FB": "TYPE_FACEBOOK",
    "IG": "TYPE_INSTAGRAM",
    "LIVECHAT": "TYPE_LIVE_CHAT",
    "VOICEMAIL": "TYPE_VOICEMAIL",
    "INTERNALCOMMENT": "TYPE_INTERNAL_COMMENT",
}
"""Names that webhooks and the documented example use, where ``TYPE_`` and the name do not already make the type."""

DIRECTIONS = frozenset(("inbound", "outbound"))

SOURCES = frozenset(("workflow", "bulk_actions", "campaign", "api", "app", "manual"))

STATUSES = frozenset(
    (
        "answered",
        "busy",
        "canceled",
        "clicked",
        "completed",
        "connected",
        "delivered",
        "failed",
        "no-answer",
        "opened",
        "opt_out",
        "pending",
        "queued",
        "read",
        "scheduled",
        "sent",
        "undelivered",
        "voicemail",
    )
)

FINAL_STATUSES = STATUSES - {"connected", "pending", "queued", "scheduled", "sent"}
"""Statuses that do not change any more, or only from delivered to read."""

CALL_STATUSES = frozenset(
    ("answered", "busy", "canceled", "completed", "failed", "no-answer", "pending", "voicemail", "connected")
)
"""Outcomes of calls: HighLevel docs, MessageMeta."""
