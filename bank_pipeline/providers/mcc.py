"""
Merchant category codes (ISO 18245) in our categories. Data.

What a shop sells is what its customers mostly buy there. Where Plaid has a word for the same
kind of shop, its category is the same, so that one purchase seen twice is filed once.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from bank_pipeline.domain.category import Category

_DIGITS: Final = 4

SHOPS: Final[tuple[tuple[str, Category, str], ...]] = (
    ("3000-3350 4511 4582", Category.TRAVEL, "airlines, airports"),
    ("3351-3500 7512 7513 7519", Category.TRAVEL, "rental of cars, trucks and motor homes"),
    ("3501-3999 7011 7012 7032 7033", Category.TRAVEL, "lodging, timeshares, camps"),
    ("4411 4457 4722 4723 4761 5962", Category.TRAVEL, "cruises, boats, travel agencies"),
    ("4111 4112 4121 4131 4789", Category.TRANSPORT, "trains, buses, taxis"),
    ("4011 4214 4215 9402", Category.SHIPPING, "freight, couriers, post"),
    ("4225", Category.SERVICES, "storage"),
    ("4784 7523 7524", Category.VEHICLE, "tolls, parking"),
    ("5172 5541 5542 5552 7511", Category.VEHICLE, "fuel and charging"),
    ("5013 5511 5521 5531-5533 5551 5561", Category.VEHICLE, "cars, boats, parts, tyres"),
    ("5571 5592 5598 5599", Category.VEHICLE, "motorcycles, motor homes, snowmobiles"),
    ("7531 7534 7535 7538 7542 7549 8675", Category.VEHICLE, "garages, washing, towing, clubs"),
    ("4468", Category.VEHICLE, "marinas"),
    ("4812-4816 4821 4899", Category.TELECOM, "telephone, internet, cable"),
    ("4829 6050 6051 6529-6538 6540", Category.TRANSFER, "money sent, quasi cash, top-ups"),
    ("6010 6011", Category.CASH_WITHDRAWAL, "cash at a counter or a machine"),
    ("6211 6760", Category.INVESTMENT, "securities, savings bonds"),
    ("5960 6300 6381 6399", Category.INSURANCE, "insurance"),
    ("6513", Category.RENT, "agents and managers of rentals"),
    ("4900 5983", Category.UTILITIES, "electricity, gas, water, waste, heating fuel"),
    ("5411 5422 5441 5451 5462 5499", Category.GROCERIES, "groceries, meat, bread, sweets"),
    ("5811-5814 5921", Category.MEALS, "restaurants, bars, caterers, wine and spirits"),
    ("5021 5044 5046 5111 5943 5978", Category.OFFICE, "office furniture, machines, stationery"),
    ("7332 7338 7339", Category.OFFICE, "copying, secretaries"),
    ("5734 5817 7372 7375 7379", Category.SOFTWARE, "software, applications, data"),
    ("7311", Category.ADVERTISING, "advertising"),
    ("7276 7333 7361 7392", Category.PROFESSIONAL_SERVICES, "tax, design, staff, consulting"),
    ("8111 8734 8911 8931 8999", Category.PROFESSIONAL_SERVICES, "law, labs, design, accounts"),
    ("0780 1520 1711 1731 1740 1750", Category.HOME, "gardeners, builders, heating, wiring"),
    ("1761 1771 1799", Category.HOME, "roofing, concrete, other trades"),
    ("5039 5072 5074 5198 5200 5211", Category.HOME, "building materials, hardware, paint"),
    ("5231 5251 5261 5271 5996", Category.HOME, "glass, tools, garden, mobile homes, pools"),
    ("5712-5714 5718 5719 5722", Category.HOME, "furniture, floors, appliances"),
    ("7217 7342 7349 7622 7623 7629 7641", Category.HOME, "cleaning, repair in the house"),
    ("5045 5051 5065 5085 5094 5099", Category.SHOPPING, "computers, parts, jewellery"),
    ("5131 5137 5139 5169 5192 5193 5199", Category.SHOPPING, "cloth, shoes, books, flowers"),
    ("5262 5300 5309-5311 5331 5399", Category.SHOPPING, "marketplaces, department stores"),
    ("5611 5621 5631 5641 5651 5655 5661", Category.SHOPPING, "clothes, shoes"),
    ("5681 5691 5697-5699 7278 7296", Category.SHOPPING, "furs, tailors, hired clothes"),
    ("5732 5733 5735 5818", Category.SHOPPING, "electronics, music, digital goods of all kinds"),
    ("5832 5931-5933 5935 5937 5940-5942", Category.SHOPPING, "used goods, sports, books"),
    ("5944-5950 5961 5963-5969", Category.SHOPPING, "gifts, toys, mail order, subscriptions"),
    ("5970-5973 5992-5995 5997-5999", Category.SHOPPING, "art, flowers, tobacco, pets, other"),
    ("5815 5816", Category.ENTERTAINMENT, "digital books, films, music and games"),
    ("7829 7832 7841 7911 7922 7929", Category.ENTERTAINMENT, "cinema, dance, theatre, bands"),
    ("7932 7933 7941 7991-7994 7996", Category.ENTERTAINMENT, "games, sights, sports, parks"),
    ("7800-7802 7995 9406 7998 7999", Category.ENTERTAINMENT, "gambling, recreation"),
    ("0742 4119 5047 5122 5912 5975 5976", Category.HEALTH, "vets, ambulances, pharmacies"),
    ("8011 8021 8031 8041-8044 8049", Category.HEALTH, "doctors, dentists, opticians"),
    ("8050 8062 8071 8099", Category.HEALTH, "nursing, hospitals, laboratories"),
    ("5977 7210 7211 7216 7230 7251", Category.PERSONAL_CARE, "cosmetics, laundry, hair, shoes"),
    ("7297 7298 7997", Category.PERSONAL_CARE, "massage, spas, gyms and clubs"),
    ("8211 8220 8241 8244 8249 8299", Category.EDUCATION, "schools, universities, courses"),
    ("8351", Category.CHILDCARE, "child care"),
    ("8398 8651 8661", Category.DONATIONS, "charities, parties, congregations"),
    ("0763 2741 2791 2842 7221 7261 7273", Category.SERVICES, "printing, photos, funerals"),
    ("7277 7299 7321 7322 7393-7395 7399", Category.SERVICES, "counsel, credit, guards, hire"),
    ("7631 7692 7699 8641 8699", Category.SERVICES, "repair, associations"),
    ("9311", Category.TAXES, "tax payments"),
    ("9211 9222 9223 9399 9405", Category.GOVERNMENT_FEES, "courts, fines, government"),
    ("9411", Category.LOAN_PAYMENT, "government loans"),
)
"""
Codes and ranges (both ends included), what is bought there, and who sells it.

Missing on purpose: 6012, a bank selling anything from a loan payment to a card top-up, and
what only moves within a company or a card network (9700 to 9702, 9950).
"""


def expand_codes(codes: str) -> Iterator[int]:
    """Yield every code of a row of `SHOPS`: words that are a code, or a range with its ends."""
    for word in codes.split():
        first, _, last = word.partition("-")
        yield from range(int(first), int(last or first) + 1)


CATEGORY_OF_CODE: Final[Mapping[int, Category]] = {
    code: category for codes, category, _ in SHOPS for code in expand_codes(codes)
}


def to_category(mcc: object) -> Category | None:
    """
    Return our category of a merchant category code; None when it has none or is no code.

    A leading zero may be missing, for it is lost by banks that send a number.
    """
    code = str(mcc).strip() if isinstance(mcc, str | int) else ""
    if not (code.isascii() and code.isdigit() and len(code) <= _DIGITS):
        return None
    return CATEGORY_OF_CODE.get(int(code))
