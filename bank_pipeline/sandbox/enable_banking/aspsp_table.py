"""The banks that Enable Banking lists, each with its ways. Names of real banks stand for facts."""

from typing import Final

from bank_pipeline.sandbox.enable_banking.profiles import (
    QUARTER_S,
    Aspsp,
    Balances,
    PendingFilter,
    Profile,
    References,
    Refusal,
    Remittance,
)

COUNTRIES: Final = (
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR",
    "GB", "GR", "HR", "HU", "IE", "IS", "IT", "LI", "LT", "LU", "LV",
    "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
)  # fmt: skip
_BACKING: Final = {"FR": "fr-soleil", "GB": "gb-meridian"}
_MUERITZ: Final = "de-mueritz"
_SOLEIL: Final = "fr-soleil"
_MERIDIAN: Final = "gb-meridian"
_BOREAL: Final = "ca-boreal"

_MOCK: Final = Profile(page_size=10, balances=Balances.CLOSING, sandbox_users=True)
_DANISH: Final = Profile(balances=Balances.VALUED, remittance=Remittance.DANISH)
_WISE: Final = Profile(stale_longest=True, party_is_card=True, running_balance="true")
_N26: Final = Profile(
    history_days=89, refusal=Refusal.BANK_BODY, running_balance=None, balances=Balances.INTERIM
)
_BOURSORAMA: Final = Profile(
    account_currency_unknown=True,
    mirrored_cards=True,
    balances=Balances.CARD_ZERO,
    running_balance=None,
    shows_pending=False,
)
_ABN_AMRO: Final = Profile(remittance=Remittance.KEY_VALUE, both_numbers=True, tells_own_side=True)
_TRADE_REPUBLIC: Final = Profile(
    pending_filter=PendingFilter.BAD_REQUEST,
    pages_lose_filter=True,
    page_size=50,
    consent_s=QUARTER_S,
)
_SABADELL: Final = Profile(
    required_psu_headers=("Psu-Ip-Address", "Psu-User-Agent"), pages_count=True
)
_REVOLUT: Final = Profile(
    references=References.NEW_WHEN_BOOKED,
    pending_in_foreign_money=True,
    empty_first_page=True,
)
_NORWEGIAN: Final = Profile(balances=Balances.REMAINING, running_balance=None)

# Oddities of banks that are not named in public, or not by enough witnesses.
_MINUS: Final = Profile(
    negative_amounts=True, digits=3, remittance=Remittance.BLANKS, running_balance="xxx"
)
_NAMELESS: Final = Profile(
    references=References.NONE, remittance=Remittance.STRING, running_balance=None
)
_RESTLESS: Final = Profile(references=References.RESTLESS, running_balance=None)
_DOUBLE: Final = Profile(
    references=References.SHARED, pending_stays=True, holds_and_others=True, running_balance=None
)
_NULL: Final = Profile(
    all_null=True,
    undated=True,
    references=References.NONE,
    remittance=Remittance.EMPTY,
    balances=Balances.EMPTY,
    account_id_is_list=True,
    last_without_uid=True,
    ignores_filters=True,
    running_balance=None,
)

_NAMED: Final = (
    # The world's own banks, without oddities.
    Aspsp("Sparkasse Müritz-Öchtringen", "DE", _MUERITZ),
    Aspsp("Crédit du Soleil", "FR", _SOLEIL),
    Aspsp("Meridian Money", "GB", _MERIDIAN),
    Aspsp("Nordea", "FI", _MUERITZ, bic="NDEAFIHH"),
    Aspsp("Nordea", "DK", _SOLEIL, _DANISH, "NDEADKKK"),
    Aspsp("Wise", "GB", _MERIDIAN, _WISE, "TRWIGB2L"),
    Aspsp("Wise", "BE", _MERIDIAN, _WISE, "TRWIBEB1"),
    Aspsp("N26", "DE", _MUERITZ, _N26, "NTSBDEB1"),
    Aspsp("Boursorama", "FR", _SOLEIL, _BOURSORAMA, "BOUSFRPP"),
    Aspsp("ABN AMRO", "NL", _MUERITZ, _ABN_AMRO, "ABNANL2A"),
    Aspsp("Trade Republic", "DE", _MUERITZ, _TRADE_REPUBLIC, "TRBKDEBB"),
    Aspsp(
        "Caixa Geral de Depósitos", "PT", _SOLEIL, Profile(balances=Balances.OVERDRAFT), "CGDIPTPL"
    ),
    Aspsp("Banco Sabadell", "ES", _SOLEIL, _SABADELL, "BSABESBB"),
    Aspsp("Swedbank", "EE", _MUERITZ, Profile(consent_s=QUARTER_S), "HABAEE2X"),
    Aspsp("SEB", "EE", _MUERITZ, Profile(approach="DECOUPLED", consent_s=QUARTER_S), "EEUHEE2X"),
    Aspsp("Revolut", "LT", _MERIDIAN, _REVOLUT, "REVOLT21"),
    Aspsp("Bank Norwegian", "NO", _SOLEIL, _NORWEGIAN, "NORWNOK1"),
    Aspsp("mBank", "PL", _BOREAL, _NORWEGIAN, "BREXPLPW"),
    Aspsp("HypoVereinsbank", "DE", _MUERITZ, Profile(refuses_psu_headers=True), "HYVEDEMM"),
    Aspsp("Erste Bank", "AT", _MUERITZ, Profile(remittance=Remittance.AUSTRIAN), "GIBAATWW"),
    Aspsp(
        "Société Générale", "FR", _SOLEIL, Profile(fresh_days=89, refusal=Refusal.DATED), "SOGEFRPP"
    ),
    Aspsp("Banco BPM", "IT", _SOLEIL, Profile(fresh_days=89, refusal=Refusal.BARE), "BAPPIT21"),
    Aspsp(
        "Santander Totta", "PT", _SOLEIL, Profile(history_days=60, refusal=Refusal.BARE), "TOTAPTPL"
    ),
    Aspsp("Swedbank", "SE", _MUERITZ, Profile(history_days=120, refusal=Refusal.DATED), "SWEDSESS"),
    Aspsp(
        "BNP Paribas Fortis",
        "BE",
        _SOLEIL,
        Profile(history_days=730, refusal=Refusal.BANK_ERROR),
        "GEBABEBB",
    ),
    Aspsp(
        "ImaginV2", "ES", _SOLEIL, Profile(pending_filter=PendingFilter.UNPROCESSABLE), "CAIXESBB"
    ),
    Aspsp("Cajamar", "ES", _SOLEIL, Profile(pending_filter=PendingFilter.BANK_ERROR), "CCRIES2A"),
    Aspsp("Minusbank", "AT", _MUERITZ, _MINUS),
    Aspsp("Namenlose Bank", "DE", _MUERITZ, _NAMELESS),
    Aspsp("Banque Changeante", "LU", _SOLEIL, _RESTLESS),
    Aspsp("Nummernbank", "AT", _MUERITZ, Profile(references=References.NUMBERED)),
    Aspsp("Doppelbank", "DE", _MUERITZ, _DOUBLE),
    Aspsp("Nullbanken", "SE", _MUERITZ, _NULL),
)
MOCK_NAME: Final = "Mock ASPSP"
ASPSPS: Final = (
    *_NAMED,
    *(
        Aspsp(MOCK_NAME, country, _BACKING.get(country, _MUERITZ), _MOCK, is_mock=True)
        for country in COUNTRIES
    ),
)
