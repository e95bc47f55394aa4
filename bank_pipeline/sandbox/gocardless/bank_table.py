"""
The institutions that the simulated GoCardless lists, as data.

The first three are the world's own European banks. The others stand under ids that real banks
have at GoCardless and have the habits that are known of those; behind each is a bank of the
world, whose customers the consent page offers first.
"""
# ruff: noqa: E501 - one institution per line reads as a table

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bank_pipeline.sandbox.gocardless import profiles
from bank_pipeline.sandbox.gocardless.profiles import Profile

EUROPE: Final = (
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HR", "HU", "IE",
    "IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
)  # fmt: skip
"""The countries that GoCardless covers."""


@dataclass(frozen=True)
class Institution:
    """
    One institution. `bank_id` is the world's bank behind it.

    `max_access` None is not told; then 180 days hold. `really_access` is the bound that holds
    in spite of what is told. `together` are scopes that must be asked for together.
    `one_account` banks give a single account to a requisition.
    """

    id: str
    name: str
    countries: tuple[str, ...]
    bank_id: str
    profile: Profile
    total_days: int = 730
    max_access: int | None = 180
    max_reconfirmation: int | None = None
    features: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    really_access: int | None = None
    one_account: bool = False

    @property
    def bic(self) -> str:
        """The code at the end of most ids."""
        return self.id.rpartition("_")[2]

    @property
    def access_bound(self) -> int:
        """How many days an agreement may last."""
        return self.really_access or self.max_access or _USUAL_ACCESS

    def supports(self, feature: str) -> bool:
        """Whether the institution has the feature."""
        return feature in self.all_features

    @property
    def all_features(self) -> tuple[str, ...]:
        """The features in their order."""
        return tuple(sorted({*_FEATURES, *self.features}))


_USUAL_ACCESS: Final = 180
_FEATURES: Final = ("access_scopes", "business_accounts", "card_accounts", "private_accounts")
_PENDING: Final = ("pending_transactions",)
_SELECT: Final = ("account_selection", "pending_transactions")
_ONCE: Final = ("pending_transactions", "separate_continuous_history_consent")
_DE, _GB, _FR = "de-mueritz", "gb-meridian", "fr-soleil"

_ALL: Final = (
    Institution("MUERITZ_MRTZDE21XXX", "Sparkasse Müritz-Öchtringen", ("DE",), _DE, profiles.PLAIN, features=_SELECT),
    Institution("MERIDIAN_MRDNGB2L", "Meridian Money", ("GB",), _GB, profiles.PLAIN, features=_SELECT),
    Institution("SOLEIL_SOLEFRPPXXX", "Crédit du Soleil", ("FR",), _FR, profiles.PLAIN, features=_PENDING),
    Institution("SANDBOXFINANCE_SFIN0000", "Sandbox Finance", EUROPE, _DE, profiles.SANDBOX, total_days=90, features=(*_SELECT, "ssn_verification")),
    Institution("REVOLUT_REVOLT21", "Revolut", EUROPE, _GB, profiles.WALLET, features=_PENDING),
    Institution("ABNAMRO_ABNANL2A", "ABN AMRO Bank", ("NL",), _DE, profiles.DUTCH, total_days=540, features=_PENDING),
    Institution("NATIONWIDE_NAIAGB21", "Nationwide Building Society", ("GB",), _GB, profiles.BRITISH, max_access=90, features=_PENDING),
    Institution("MONZO_MONZGB2L", "Monzo Bank Limited", ("GB",), _GB, profiles.SIMPLE, max_access=90, max_reconfirmation=730, features=(*_PENDING, "reconfirmation_of_consent")),
    Institution("SEB_KORT_AB_SE_SKHSFI21", "SEB Kort AB", ("SE",), _FR, profiles.FLIPPED_CARD, total_days=90),
    Institution("CETELEM_CETMPTP1XXX", "Cetelem", ("PT",), _FR, profiles.FLIPPED_LOAN, total_days=90),
    Institution("NBG_ETHNGRAAXXX", "National Bank of Greece", ("GR",), _FR, profiles.GREEK, total_days=558, features=_PENDING),
    Institution("NORWEGIAN_NO_NORWNOK1", "Bank Norwegian", ("NO",), _DE, profiles.UNDATED, features=_PENDING),
    Institution("AMERICAN_EXPRESS_AESUDEF1", "American Express", ("DE", "FR", "IT", "ES", "NL"), _DE, profiles.CHARGE_CARD, total_days=90),
    Institution("COMMERZBANK_COBADEFF", "Commerzbank", ("DE",), _DE, profiles.CUT, total_days=558),
    Institution("BELFIUS_GKCCBEBB", "Belfius", ("BE",), _FR, profiles.BELGIAN, features=_PENDING),
    Institution("COOP_EKRDEE22", "Coop Pank", ("EE",), _DE, profiles.SIMPLE, features=_ONCE),
    Institution("RABOBANK_RABONL2U", "Rabobank", ("NL",), _DE, profiles.SIMPLE, really_access=90, features=_PENDING),
    Institution("COOPERATIVE_RETAIL_CPBKGB22", "The Co-operative Bank", ("GB",), _GB, profiles.REUSED, max_access=90, features=_PENDING),
    Institution("ING_INGBROBU", "ING Romania", ("RO",), _DE, profiles.NO_IDS, features=_PENDING),
    Institution("LABORALKUTXA_CLPEES2M", "Laboral Kutxa", ("ES",), _FR, profiles.ANONYMOUS, max_access=None, features=_ONCE, one_account=True),
    Institution("ENTERCARD_SWEDNOKK", "EnterCard", ("NO", "SE"), _FR, profiles.FOREIGN_CARD, total_days=90),
    Institution("SSK_DUSSELDORF_DUSSDEDDXXX", "Stadtsparkasse Düsseldorf", ("DE",), _DE, profiles.PLACEHOLDERS, features=_PENDING),
    Institution("SPK_WORMS_ALZEY_RIED_MALADE51WOR", "Sparkasse Worms-Alzey-Ried", ("DE",), _DE, profiles.STRUCTURED, features=_PENDING),
    Institution("SPARNORD_SPNODK22", "Spar Nord", ("DK",), _DE, profiles.ADDITIONAL, features=_PENDING),
    Institution("N26_NTSBDEB1", "N26 Bank", EUROPE, _DE, profiles.SPACES, total_days=90, features=_SELECT),
    Institution("MBANK_RETAIL_BREXPLPW", "mBank Retail", ("PL",), _DE, profiles.SIMPLE, features=_PENDING, together=("details", "balances")),
    Institution("PAYPAL_PPLXLULL", "PayPal", EUROPE, _FR, profiles.NO_BALANCES, total_days=90, features=_PENDING),
    Institution("WISE_TRWIGB22", "Wise", EUROPE, _GB, profiles.MIXED, features=_PENDING),
)  # fmt: skip

INSTITUTIONS: Final[Mapping[str, Institution]] = {one.id: one for one in _ALL}
ORDINARY: Final[Mapping[str, str]] = {
    _DE: "MUERITZ_MRTZDE21XXX",
    _GB: "MERIDIAN_MRDNGB2L",
    _FR: "SOLEIL_SOLEFRPPXXX",
}
"""The id under which each European bank of the world stands without any oddity."""
