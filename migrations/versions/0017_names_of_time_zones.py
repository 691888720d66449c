"""Old names of time zones are told by today's; the views tell threads, turns and days by their right ones."""

import sqlalchemy as sa
from alembic import op

from etl.database import views

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

DISPENSABLE = ("highlevel.time_zones.known_as",)

# Today's name, and after it the older ones: the links of https://data.iana.org/time-zones/tzdb/backward, 2025b. Servers
# drop the older ones: Debian 13 has them in a package of its own.
LINKS = """
Africa/Abidjan Africa/Timbuktu Iceland
Africa/Cairo Egypt
Africa/Nairobi Africa/Asmera
Africa/Tripoli Libya
America/Adak America/Atka US/Aleutian
America/Anchorage US/Alaska
America/Argentina/Buenos_Aires America/Buenos_Aires
America/Argentina/Catamarca America/Argentina/ComodRivadavia America/Catamarca
America/Argentina/Cordoba America/Cordoba America/Rosario
America/Argentina/Jujuy America/Jujuy
America/Argentina/Mendoza America/Mendoza
America/Chicago CST6CDT US/Central
America/Denver America/Shiprock MST7MDT Navajo US/Mountain
America/Detroit US/Michigan
America/Edmonton America/Yellowknife Canada/Mountain
America/Halifax Canada/Atlantic
America/Havana Cuba
America/Indiana/Indianapolis America/Fort_Wayne America/Indianapolis US/East-Indiana
America/Indiana/Knox America/Knox_IN US/Indiana-Starke
America/Iqaluit America/Pangnirtung
America/Jamaica Jamaica
America/Kentucky/Louisville America/Louisville
America/Los_Angeles PST8PDT US/Pacific
America/Manaus Brazil/West
America/Mazatlan Mexico/BajaSur
America/Mexico_City Mexico/General
America/New_York EST5EDT US/Eastern
America/Noronha Brazil/DeNoronha
America/Nuuk America/Godthab
America/Panama America/Coral_Harbour EST
America/Phoenix MST US/Arizona
America/Puerto_Rico America/Kralendijk America/Lower_Princes America/Marigot America/St_Barthelemy America/Virgin
America/Regina Canada/Saskatchewan
America/Rio_Branco America/Porto_Acre Brazil/Acre
America/Santiago Chile/Continental
America/Sao_Paulo Brazil/East
America/St_Johns Canada/Newfoundland
America/Tijuana America/Ensenada America/Santa_Isabel Mexico/BajaNorte
America/Toronto America/Montreal America/Nipigon America/Thunder_Bay Canada/Eastern
America/Vancouver Canada/Pacific
America/Whitehorse Canada/Yukon
America/Winnipeg America/Rainy_River Canada/Central
Asia/Ashgabat Asia/Ashkhabad
Asia/Dhaka Asia/Dacca
Asia/Ho_Chi_Minh Asia/Saigon
Asia/Hong_Kong Hongkong
Asia/Jerusalem Asia/Tel_Aviv Israel
Asia/Kathmandu Asia/Katmandu
Asia/Kolkata Asia/Calcutta
Asia/Macau Asia/Macao
Asia/Makassar Asia/Ujung_Pandang
Asia/Nicosia Europe/Nicosia
Asia/Seoul ROK
Asia/Shanghai Asia/Chongqing Asia/Chungking Asia/Harbin PRC
Asia/Singapore Singapore
Asia/Taipei ROC
Asia/Tehran Iran
Asia/Thimphu Asia/Thimbu
Asia/Tokyo Japan
Asia/Ulaanbaatar Asia/Choibalsan Asia/Ulan_Bator
Asia/Urumqi Asia/Kashgar
Asia/Yangon Asia/Rangoon
Atlantic/Faroe Atlantic/Faeroe
Australia/Adelaide Australia/South
Australia/Brisbane Australia/Queensland
Australia/Broken_Hill Australia/Yancowinna
Australia/Darwin Australia/North
Australia/Hobart Australia/Currie Australia/Tasmania
Australia/Lord_Howe Australia/LHI
Australia/Melbourne Australia/Victoria
Australia/Perth Australia/West
Australia/Sydney Australia/ACT Australia/Canberra Australia/NSW
Etc/GMT Etc/GMT+0 Etc/GMT-0 Etc/GMT0 Etc/Greenwich GMT+0 GMT-0 GMT0 Greenwich
Etc/UTC Etc/UCT Etc/Universal Etc/Zulu UCT Universal Zulu
Europe/Athens EET
Europe/Belgrade Europe/Podgorica
Europe/Berlin Arctic/Longyearbyen Atlantic/Jan_Mayen
Europe/Brussels CET MET
Europe/Chisinau Europe/Tiraspol
Europe/Dublin Eire
Europe/Helsinki Europe/Mariehamn
Europe/Istanbul Asia/Istanbul Turkey
Europe/Kyiv Europe/Kiev Europe/Uzhgorod Europe/Zaporozhye
Europe/Lisbon Portugal WET
Europe/London Europe/Belfast GB GB-Eire
Europe/Moscow W-SU
Europe/Prague Europe/Bratislava
Europe/Rome Europe/San_Marino Europe/Vatican
Europe/Warsaw Poland
Europe/Zurich Europe/Busingen
Pacific/Auckland Antarctica/South_Pole NZ
Pacific/Chatham NZ-CHAT
Pacific/Easter Chile/EasterIsland
Pacific/Guadalcanal Pacific/Ponape
Pacific/Honolulu HST Pacific/Johnston US/Hawaii
Pacific/Kanton Pacific/Enderbury
Pacific/Kwajalein Kwajalein
Pacific/Pago_Pago Pacific/Samoa US/Samoa
Pacific/Port_Moresby Pacific/Truk Pacific/Yap
"""
OLDER = """
INSERT INTO highlevel.time_zones (time_zone, known_as)
SELECT g.older, g.today FROM unnest(CAST(:older AS text[]), CAST(:today AS text[])) AS g (older, today)
WHERE EXISTS (SELECT FROM highlevel.time_zones AS z WHERE z.time_zone = g.today)
ON CONFLICT (time_zone) DO UPDATE SET known_as = excluded.known_as
"""

KNOWN_AS = "Today's name of it, by which Postgres is asked; null: the same."
TABLE = (
    "Time zones that this Postgres knew when the warehouse was migrated, and older names of them. A location whose zone "
    "is not among them gets the default: an unknown name would make a whole query fail. To add newer ones: INSERT INTO "
    "highlevel.time_zones SELECT name FROM pg_timezone_names ON CONFLICT DO NOTHING"
)
TABLE_BEFORE = TABLE.replace(", and older names of them", "")
INDEX = "emails_location_id_contact_id_date_added_idx"


def upgrade() -> None:
    op.add_column("time_zones", sa.Column("known_as", sa.Text(), comment=KNOWN_AS), schema="highlevel")
    op.create_table_comment("time_zones", TABLE, existing_comment=TABLE_BEFORE, schema="highlevel")
    links = [(older, today) for today, *names in map(str.split, LINKS.strip().splitlines()) for older in names]
    older, today = zip(*links, strict=True)
    op.get_bind().execute(sa.text(OLDER), {"older": list(older), "today": list(today)})
    op.create_index(
        op.f(INDEX), "emails", ["location_id", "contact_id", "date_added"], unique=False, schema="highlevel"
    )


def downgrade() -> None:
    views.drop(op.get_bind())
    op.drop_index(op.f(INDEX), table_name="emails", schema="highlevel")
    op.create_table_comment("time_zones", TABLE_BEFORE, existing_comment=TABLE, schema="highlevel")
    op.drop_column("time_zones", "known_as", schema="highlevel")
