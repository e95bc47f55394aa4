"""What `/link/token/create` may hold: Plaid's longest request. Plain values."""

from typing import Final

from bank_pipeline.sandbox.plaid.shapes import Anything, Flag, Many, Shape, Text, Whole
from bank_pipeline.sandbox.plaid.vocabulary import COUNTRY_CODES, LANGUAGES, PRODUCTS, words

_PRODUCTS: Final = Many(Text(choices=PRODUCTS), nullable=True)
_THREE_WEEKS_S: Final = 21 * 24 * 3600
_NAME_LONGEST: Final = 30

# Accepted and without effect here.
_UNUSED: Final = words(
    """
    access_tokens account_filters android_package_name appearance_mode auth base_report
    card_switch cashflow_report consumer_report_permissible_purpose cra_enabled cra_options
    credit_partner_insights employment eu_config financekit_supported identity
    identity_verification income_verification institution_data investments investments_auth
    link_customization_name payment_configuration payment_initiation statements
    third_party_user_token transfer user_token
    """
)

_USER: Final = Shape(
    {
        "client_user_id": Text(required=True),
        **dict.fromkeys(
            words(
                """
    legal_name name phone_number phone_number_verified_time email_address
    email_address_verified_time ssn date_of_birth address id_number
    """
            ),
            Anything(),
        ),
    }
)

LINK_TOKEN_SHAPE: Final = Shape(
    {
        **dict.fromkeys(_UNUSED, Anything()),
        "client_name": Text(required=True, longest=_NAME_LONGEST),
        "language": Text(required=True, choices=LANGUAGES),
        "country_codes": Many(Text(choices=COUNTRY_CODES), required=True, some=True),
        "user": _USER,
        "user_id": Text(),
        "products": _PRODUCTS,
        "required_if_supported_products": _PRODUCTS,
        "optional_products": _PRODUCTS,
        "additional_consented_products": _PRODUCTS,
        "webhook": Text(nullable=True, url=True),
        "access_token": Text(nullable=True),
        "redirect_uri": Text(nullable=True),
        "institution_id": Text(nullable=True),
        "enable_multi_item_link": Flag(),
        "transactions": Shape({"days_requested": Whole(1, 730)}),
        "update": Shape(
            {
                "account_selection_enabled": Flag(),
                "reauthorization_enabled": Flag(),
                "user": Flag(),
                "item_ids": Many(Text()),
            }
        ),
        "hosted_link": Shape(
            {
                "delivery_method": Anything(),
                "completion_redirect_uri": Text(nullable=True),
                "url_lifetime_seconds": Whole(1, _THREE_WEEKS_S, nullable=True),
                "is_mobile_app": Flag(),
            }
        ),
    }
)
