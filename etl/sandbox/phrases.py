"""What small businesses and their customers write to each other, as data. Performs no I/O.

Placeholders: ``{first}`` the customer, ``{staff}`` who answers, ``{business}``, ``{day}``, ``{time}``.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trade:
    """A kind of small business: its name, what customers write to it and what it answers."""

    business: str
    slug: str
    inbound: tuple[str, ...]
    outbound: tuple[str, ...]


TRADES = (
    Trade(
        "Harbour Street Dental",
        "harbour-dental",
        (
            "Hi, can I move my cleaning from {day} to later in the week?",
            "My crown came loose while eating 😬 can someone see me today?",
            "Do you take new patients? Two adults and a child.",
            "Is it normal that it still hurts a little after the filling?",
            "Running 10 minutes late, sorry!",
        ),
        (
            "Hi {first}, this is {business}: your appointment is on {day} at {time}. Reply C to confirm.",
            "We can see you {day} at {time}, does that work?",
            "A little soreness for two days is normal, {first}. Call us if it gets worse. {staff}",
            "Thank you for coming in today, {first} 😊",
        ),
    ),
    Trade(
        "Millers Garage",
        "millers-garage",
        (
            "Is my car ready? The grey Golf.",
            "The engine light is on again, same as last month",
            "How much is a set of winter tyres with fitting?",
            "ok go ahead with the brakes 👍",
            "Can I drop the keys off tonight after 7?",
        ),
        (
            "Hi {first}, your car is ready. We close at 18:00. {staff}",
            "The front pads are worn down to 2 mm. Shall we replace them? It would be 184.00 with fitting.",
            "Your MOT is due on {day}. Reply YES and we book you in at {time}.",
            "Parts arrive {day}, we call you then.",
        ),
    ),
    Trade(
        "Studio Lumen Hair",
        "studio-lumen",
        (
            "Hola! ¿Tienen cita libre el {day} por la tarde?",
            "Can I book {staff} for a cut and colour?",
            "Do you do bridal hair? Wedding is in June 💍",
            "love it, thank you!! 🥰🥰",
            "I need to cancel {day}, so sorry",
        ),
        (
            "Hi {first}! {staff} has {day} at {time} free. Shall I book it?",
            "Reminder: {day}, {time} with {staff} at {business}. See you soon!",
            "No problem at all, {first}. Just write when you want a new date.",
            "How did we do? A short review helps us a lot: https://example.com/r/lumen",
        ),
    ),
    Trade(
        "Northside Plumbing & Heating",
        "northside-plumbing",
        (
            "Boiler shows error F28 and no hot water",
            "Water is coming through the kitchen ceiling, please call me asap",
            "Can you send the invoice again? I can't find it",
            "Thanks for the quick help yesterday!",
            "What would a new radiator cost roughly?",
        ),
        (
            "{staff} is on the way, about 25 minutes.",
            "Hi {first}, please turn off the main tap under the sink. We are with you at {time}.",
            "The quote is in your inbox, {first}. It is good for 30 days.",
            "We can do the yearly service on {day} at {time}. OK?",
        ),
    ),
    Trade(
        "Paws & Claws Vets",
        "paws-claws",
        (
            "Bella is eating again, thank you so much 🐶",
            "Do I need an appointment to get his nails clipped?",
            "How long after the vaccination can she go outside?",
            "お世話になっております。予約を変更できますか?",
            "Can you refill the thyroid tablets for Momo?",
        ),
        (
            "Good news, {first}: the blood results are fine. {staff}",
            "The tablets are ready to collect, we are open until {time}.",
            "Booster is due on {day}. Would {time} suit you?",
            "Please bring a stool sample if you can. Thank you!",
        ),
    ),
)

# Now and then a line that is not plain short English: other scripts, joined emojis, quotes, line breaks, right-to-left.
UNUSUAL = (
    "Gracias, {first}. ¡Hasta el {day}!",
    "Danke schön, bis {day} um {time} Uhr. Grüße",
    "谢谢你们,下次见!",
    "شكرا جزيلا، إلى اللقاء",
    "Спасибо, всё отлично!",
    "धन्यवाद 🙏",
    "👨‍👩‍👧‍👦❤️‍🔥",
    'He said "call back after 5" \\ not before.\nSecond line,\ttabbed.',
)

LONG = (
    "Hi {first}, a few notes before {day}: please arrive ten minutes early so that we can check your details. "
    "Parking is behind the house, the entrance is next to the bakery. If you cannot come, write to us here or call "
    "until 18:00 the day before; after that we have to charge a small fee. Bring the papers from last time if you "
    "still have them. {staff} will look after you. "
)

FIRST_NAMES = (
    "Ann", "Ben", "Carla", "Dmitri", "Elif", "Femi", "Grace", "Hugo", "Ines", "Jonas", "Kenji", "Lucía", "Mara",
    "Noah", "Olivia", "Pavel", "Quentin", "Rosa", "Siobhán", "Tariq", "Uma", "Victor", "Wei", "Ximena", "Yusuf", "Zoë",
)  # fmt: skip
LAST_NAMES = (
    "Abbott", "Brooks", "Castillo", "Dubois", "Evans", "Fischer", "García", "Haddad", "Ito", "Jensen", "Kowalski",
    "Lee", "Moreau", "Nguyen", "O'Brien", "Patel", "Rossi", "Schmidt", "Tan", "Walker", "Young",
)  # fmt: skip
STAFF = ("Sam", "Priya", "Tom", "Nadia")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
TIMES = ("8:30", "9:15", "10:00", "11:45", "13:30", "14:00", "15:15", "16:40")
SUBJECTS = (
    "Your appointment",
    "Your quote",
    "Invoice 20{number}",
    "Question about {day}",
    "Thank you for your visit",
)

ACTIVITIES = {
    "TYPE_ACTIVITY_CONTACT": "Contact created: {first}",
    "TYPE_ACTIVITY_INVOICE": "Invoice INV-00{number} sent",
    "TYPE_ACTIVITY_PAYMENT": "Payment of 84.50 received from {first}",
    "TYPE_ACTIVITY_OPPORTUNITY": "Opportunity moved to Won",
    "TYPE_ACTIVITY_APPOINTMENT": "Appointment booked for {day} at {time}",
    "TYPE_ACTIVITY_EMPLOYEE_ACTION_LOG": "{staff} marked the conversation as read",
    "TYPE_ACTIVITY_WHATSAPP": "WhatsApp window opened by the contact",
    "TYPE_FORM_SUBMISSION": "Form submitted: Contact us",
    "TYPE_LIVE_CHAT_INFO_MESSAGE": "{staff} joined the chat",
    "TYPE_SMS_REACTION": "❤️",
    "TYPE_REVIEW": "★★★★★ {staff} was great, friendly and quick.",
    "TYPE_SMS_REVIEW_REQUEST": "Hi {first}, would you leave us a short review? https://example.com/r/1",
    "TYPE_SMS_NO_SHOW_REQUEST": "Sorry we missed you, {first}. Would you like a new date?",
}
