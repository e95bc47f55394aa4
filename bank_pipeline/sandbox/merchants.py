"""
Where the simulated people spend, as data: invented merchants of every line of business.

Categories are detailed codes of Plaid's personal finance taxonomy v2. Prices are in US dollars
and are converted to the account's currency.
"""
# ruff: noqa: E501, RUF001 - one merchant per line reads as a table; names are as people write them

from dataclasses import dataclass
from typing import Final

from bank_pipeline.sandbox.ledger import Party


@dataclass(frozen=True)
class Merchant:
    """
    A business. `name` is what people call it, `descriptor` what a card terminal prints.

    `weight` says how often it is visited, compared with the others.
    """

    name: str
    descriptor: str
    category: str
    low: float
    high: float
    weight: int = 5
    channel: str = "in store"
    website: str | None = None
    city: str | None = None
    country: str | None = None
    kind: str = "merchant"

    def party(self) -> Party:
        """Return the merchant as the other side of a movement."""
        return Party(self.name, self.kind, self.website)


_FOOD: Final = "FOOD_AND_DRINK_"
_SHOP: Final = "GENERAL_MERCHANDISE_"
_RIDE: Final = "TRANSPORTATION_"
_FUN: Final = "ENTERTAINMENT_"

SHOPS: Final = (
    Merchant("Kettle & Crow", "KETTLE & CROW COFFEE #0231", _FOOD + "COFFEE", 2.8, 9, 30, city="Portland", country="US"),
    Merchant("Café Zoë ☕", "CAFÉ ZOË☕", _FOOD + "COFFEE", 2.5, 8, 14, city="Köln", country="DE"),
    Merchant("Burger Depot", "BURGER DEPOT 1187", _FOOD + "FAST_FOOD", 6, 24, 16),
    Merchant("Taquería El Niño", "SQ *TAQUERIA EL NIÑO", _FOOD + "RESTAURANT", 11, 48, 10),
    Merchant("寿司 さくら", "SUSHI SAKURA 寿司さくら", _FOOD + "RESTAURANT", 14, 90, 5, city="東京", country="JP"),
    Merchant("مطعم الشام", "مطعم الشام", _FOOD + "RESTAURANT", 9, 55, 4, city="الكويت", country="KW"),
    Merchant("Greenway Market", "GREENWAY MKT 0417", _FOOD + "GROCERIES", 8, 145, 34, website="greenway.example"),
    Merchant("Bäckerei Grünwald", "Bäckerei Grünwald", _FOOD + "GROCERIES", 1.9, 14, 12, city="München", country="DE"),
    Merchant("Barrel & Vine", "BARREL&VINE LIQUORS", _FOOD + "BEER_WINE_AND_LIQUOR", 12, 70, 5),
    Merchant("SnackBox", "SNACKBOX VEND 88213", _FOOD + "VENDING_MACHINES", 1, 4, 6),
    Merchant("Pantry Plus", "PANTRY PLUS EXPRESS", _SHOP + "CONVENIENCE_STORES", 2, 26, 12),
    Merchant("Megalo", "MEGALO SUPERCENTER", _SHOP + "SUPERSTORES", 15, 210, 10, website="megalo.example"),
    Merchant("Bazaarly", "BAZAARLY MKTPLACE*2K4TZ", _SHOP + "ONLINE_MARKETPLACES", 6, 180, 22, "online", "bazaarly.example", kind="marketplace"),
    Merchant("Voltado", "VOLTADO ELECTRONICS", _SHOP + "ELECTRONICS", 25, 900, 3, website="voltado.example"),
    Merchant("Ohm & Söhne", "OHM+SOEHNE MODE", _SHOP + "CLOTHING_AND_ACCESSORIES", 18, 220, 5),
    Merchant('The "Quoted" Bookshop', 'THE "QUOTED" BOOKSHOP', _SHOP + "BOOKSTORES_AND_NEWSSTANDS", 7, 60, 4),
    Merchant("Penny & Dime", "PENNY&DIME 552", _SHOP + "DISCOUNT_STORES", 2, 35, 6),
    Merchant("Happy Paws", "HAPPY PAWS PET", _SHOP + "PET_SUPPLIES", 9, 95, 3),
    Merchant("Corner Drug", "CORNER DRUG RX", "MEDICAL_PHARMACIES_AND_SUPPLEMENTS", 5, 80, 6),
    Merchant("Dr. med. dent. Yılmaz", "ZAHNARZT DR. YILMAZ", "MEDICAL_DENTAL_CARE", 60, 480, 1),
    Merchant("Hartmann Hardware", "HARTMANN HDWE 03", "HOME_IMPROVEMENT_HARDWARE", 4, 160, 4),
    Merchant("Nordheim", "NORDHEIM MÖBEL 442", "HOME_IMPROVEMENT_FURNITURE", 20, 700, 2, website="nordheim.example"),
    Merchant("Shear Bliss", "SHEAR BLISS SALON", "PERSONAL_CARE_HAIR_AND_BEAUTY", 20, 120, 3),
    Merchant("City Transit", "CITY TRANSIT TAP", _RIDE + "PUBLIC_TRANSIT", 1.9, 6, 26),
    Merchant("Hopp", "HOPP* RIDE PENDING", _RIDE + "TAXIS_AND_RIDE_SHARES", 7, 55, 10, "online", "hopp.example"),
    Merchant("ParkRight", "PARKRIGHT MTR 7741", _RIDE + "PARKING", 1.5, 22, 7),
    Merchant("Bridge Authority", "BRIDGE AUTH TOLL", _RIDE + "TOLLS", 2, 11, 4),
    Merchant("Pixelforge", "PIXELFORGE GAMES", _FUN + "VIDEO_GAMES", 5, 70, 4, "online", "pixelforge.example"),
    Merchant("Odeon-Kino", "ODEON KINO KASSE 2", _FUN + "TV_AND_MOVIES", 9, 40, 3),
    Merchant("Dice & Spice", "DICE & SPICE CASINO", _FUN + "CASINOS_AND_GAMBLING", 10, 200, 1),
    Merchant("Red Ribbon Fund", "RED RIBBON FUND DONATE", "GOVERNMENT_AND_NON_PROFIT_DONATIONS", 5, 50, 2, "online"),
    Merchant("Pósta & Parcel", "POSTA PARCEL 0099", "GENERAL_SERVICES_POSTAGE_AND_SHIPPING", 4, 45, 3),
)  # fmt: skip

HOLDERS: Final = (
    Merchant("Fillup", "FILLUP #40021 PUMP 4", _RIDE + "GAS", 18, 95, 8),
    Merchant("Hôtel de l'Étoile", "HÔTEL DE L'ÉTOILE", "TRAVEL_LODGING", 90, 620, 2, city="Paris", country="FR"),
    Merchant("Rondo Rent-a-Car", "RONDO RENT A CAR", "TRAVEL_RENTAL_CARS", 45, 410, 1),
    Merchant("Osteria Lucia", "OSTERIA LUCIA (TIP)", _FOOD + "RESTAURANT", 20, 140, 4),
)  # who hold an amount first and book another  # fmt: skip

SUBSCRIPTIONS: Final = (
    Merchant("Streamly", "STREAMLY.EXAMPLE/BILL", _FUN + "TV_AND_MOVIES", 11, 18, 1, "online", "streamly.example"),
    Merchant("Tonado", "TONADO MUSIC P2231", _FUN + "MUSIC_AND_AUDIO", 9, 12, 1, "online", "tonado.example"),
    Merchant("Iron Temple", "IRON TEMPLE GYM", "PERSONAL_CARE_GYMS_AND_FITNESS_CENTERS", 25, 60, 1),
    Merchant("CloudLocker", "CLOUDLOCKER* STORAGE", "GENERAL_SERVICES_STORAGE", 2, 10, 1, "online"),
)  # fmt: skip

BILLS: Final = (
    Merchant("Hawthorn Property Mgmt", "HAWTHORN PROPERTY MGMT RENT", "RENT_AND_UTILITIES_RENT", 900, 1900, 1, "other"),
    Merchant("Stadtwerke / City Power", "CITY POWER & GAS AUTOPAY", "RENT_AND_UTILITIES_GAS_AND_ELECTRICITY", 40, 190, 1, "other"),
    Merchant("Telekonnekt", "TELEKONNEKT MOBIL", "RENT_AND_UTILITIES_TELEPHONE", 20, 70, 1, "other"),
    Merchant("Fibra", "FIBRA INTERNET 8841-2", "RENT_AND_UTILITIES_INTERNET_AND_CABLE", 30, 90, 1, "other"),
    Merchant("Aqua Municipal", "AQUA MUNICIPAL WTR", "RENT_AND_UTILITIES_WATER", 15, 60, 1, "other"),
    Merchant("Safeguard Mutual", "SAFEGUARD MUTUAL INS PREM", "GENERAL_SERVICES_INSURANCE", 50, 180, 1, "other"),
)  # what leaves by standing order or direct debit every month  # fmt: skip

EMPLOYERS: Final = (
    Party("Northwind Logistics GmbH", "income_source", iban="DE02120300000000202051"),
    Party("Ministère de l'Éducation", "income_source"),
    Party("Acme Robotics, Inc.", "income_source", "acme-robotics.example"),
    Party("株式会社ミライ", "income_source"),
)
