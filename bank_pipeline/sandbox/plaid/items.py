"""Items: one customer's access to one login at one bank, and the tokens that open them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bank_pipeline.sandbox.ledger import AccountKind
from bank_pipeline.sandbox.plaid.errors import PlaidError, plaid_error
from bank_pipeline.sandbox.plaid.ids import Mint, derive_account_id
from bank_pipeline.sandbox.plaid.options import PlaidOptions
from bank_pipeline.sandbox.plaid.readiness import Readiness, Stage
from bank_pipeline.sandbox.plaid.sync_feed import Feed, Grant, Row
from bank_pipeline.sandbox.plaid.vocabulary import KINDS_WITH_TRANSACTIONS
from bank_pipeline.sandbox.world import World

_PUBLIC_TOKEN_LIFE = timedelta(minutes=30)


@dataclass
class Announced:
    """What of the feed was told by webhook: `sync` position, `legacy` position, stage."""

    sync: int = 0
    legacy: int = 0
    stage: Stage = Stage.NOT_READY
    armed: bool = False  # by the first call of /transactions/sync
    consent_for: datetime | None = None  # the consent's end that was warned of
    code_sent: str | None = None
    sent_at: datetime | None = None


@dataclass
class Item:
    """
    One Item. Its grants only grow: a withdrawn one stays, with its end.

    `error` None means healthy. `transactions` is None until the product begins.
    """

    item_id: str
    access_token: str
    login_id: str
    institution_id: str
    created_at: datetime
    logged_in_at: datetime
    consent_ends_at: datetime | None
    webhook: str | None
    products: list[str]
    consented_products: list[str]
    days_requested: int
    dynamic: bool
    feed: Feed
    transactions: Readiness | None = None
    grants: list[Grant] = field(default_factory=list)
    generations: dict[str, int] = field(default_factory=dict)
    error: PlaidError | None = None
    error_at: datetime | None = None
    exchanged: bool = False
    removed: bool = False
    announced: Announced = field(default_factory=Announced)
    last_row: Row | None = None  # of the last page, for a fault that repeats it

    def active_grants(self) -> Sequence[Grant]:
        """Return the accounts the Item may see now."""
        return [grant for grant in self.grants if grant.revoked_at is None]

    def grant_of(self, account_id: str) -> Grant:
        """Return an active grant by Plaid's account id."""
        for grant in self.active_grants():
            if grant.account_id == account_id:
                return grant
        raise plaid_error("INVALID_ACCOUNT_ID")


@dataclass(frozen=True)
class NewItem:
    """What a finished Link session asks for."""

    login_id: str
    institution_id: str
    account_ids: Sequence[str]  # the world's
    products: Sequence[str]
    consented_products: Sequence[str]
    webhook: str | None
    days_requested: int
    consent: timedelta | None
    dynamic: bool = False


@dataclass(frozen=True)
class _PublicToken:
    item_id: str
    expires_at: datetime


class ItemBook:
    """All Items and their tokens. Callers hold the simulator's lock."""

    def __init__(self, world: World, mint: Mint, options: PlaidOptions) -> None:
        self._world = world
        self._mint = mint
        self._options = options
        self._items: dict[str, Item] = {}
        self._by_access_token: dict[str, Item] = {}
        self._public_tokens: dict[str, _PublicToken] = {}

    def __iter__(self) -> Iterator[Item]:
        return iter(tuple(self._items.values()))

    def find(self, item_id: str) -> Item | None:
        """Return an Item by its id, removed ones too."""
        return self._items.get(item_id)

    def create(self, wanted: NewItem, now: datetime) -> Item:
        """Link a login: a new Item, whoever linked the same login before."""
        item = Item(
            item_id=self._mint.item_id(),
            access_token=self._mint.token("access"),
            login_id=wanted.login_id,
            institution_id=wanted.institution_id,
            created_at=now,
            logged_in_at=now,
            consent_ends_at=None if wanted.consent is None else now + wanted.consent,
            webhook=wanted.webhook,
            products=list(wanted.products),
            consented_products=list(wanted.consented_products),
            days_requested=wanted.days_requested,
            dynamic=wanted.dynamic,
            feed=Feed(self._world),
        )
        self._items[item.item_id] = item
        self._by_access_token[item.access_token] = item
        self.select_accounts(item, wanted.account_ids, now)
        if "transactions" in item.products:
            self.begin_transactions(item, now)
        return item

    def begin_transactions(self, item: Item, now: datetime) -> None:
        """Let the history be collected; the days asked for are final from now on."""
        options = self._options
        item.transactions = Readiness.begin(
            now,
            after=(options.initial_after, options.historical_after),
            days=(options.initial_days, item.days_requested),
        )

    def select_accounts(self, item: Item, account_ids: Iterable[str], now: datetime) -> None:
        """Grant exactly these accounts. One that is granted again gets a new account_id."""
        wanted = dict.fromkeys(account_ids)
        for grant in item.active_grants():
            if wanted.pop(grant.world_account_id, "withdrawn") == "withdrawn":
                self.withdraw(item, grant, now)
        for account_id in wanted:
            self.grant(item, account_id, now)

    def grant(self, item: Item, account_id: str, now: datetime) -> Grant:
        """Let an Item see one more of the world's accounts."""
        generation = item.generations.get(account_id, 0)
        item.generations[account_id] = generation + 1
        plaid_id = derive_account_id(item.item_id, account_id, generation)
        grant = Grant(account_id, plaid_id, now)
        item.grants.append(grant)
        return grant

    def withdraw(self, item: Item, grant: Grant, now: datetime) -> None:
        """End a grant; what it showed so far stays in the feed as it was."""
        self.catch_up(item, now)
        grant.revoked_at = now

    def catch_up(self, item: Item, now: datetime) -> None:
        """Bring the Item's feed to `now`."""
        if item.transactions is not None and not item.removed:
            shown = [one for one in item.grants if self.has_transactions(one)]
            item.feed.catch_up(shown, item.transactions, now)

    def has_transactions(self, grant: Grant) -> bool:
        """Whether the product Transactions covers this kind of account."""
        return self.kind_of(grant) in KINDS_WITH_TRANSACTIONS

    def kind_of(self, grant: Grant) -> AccountKind:
        """Return what the account is."""
        return self._world.accounts[grant.world_account_id].kind

    def new_public_token(self, item: Item, now: datetime) -> str:
        """Return a token to be exchanged once within 30 minutes."""
        token = self._mint.token("public")
        self._public_tokens[token] = _PublicToken(item.item_id, now + _PUBLIC_TOKEN_LIFE)
        return token

    def exchange(self, public_token: str, now: datetime) -> Item:
        """Spend a public token."""
        known = self._public_tokens.pop(public_token, None)
        item = None if known is None else self._items.get(known.item_id)
        if known is None or item is None or now > known.expires_at or item.removed:
            raise plaid_error("INVALID_PUBLIC_TOKEN")
        item.exchanged = True
        return item

    def open(self, access_token: str) -> Item:
        """Return the Item a token opens."""
        item = self._by_access_token.get(access_token)
        if item is None or (not item.removed and item.access_token != access_token):
            raise plaid_error("INVALID_ACCESS_TOKEN")
        if item.removed:
            raise plaid_error("ITEM_NOT_FOUND")
        return item

    def rotate(self, item: Item) -> str:
        """Replace the access token; the old one is dead at once."""
        del self._by_access_token[item.access_token]
        item.access_token = self._mint.token("access")
        self._by_access_token[item.access_token] = item
        return item.access_token

    def churn(self, item: Item, account_id: str, now: datetime) -> Grant:
        """Let Plaid lose track of an account: its place is taken by one with a new id."""
        grant = item.grant_of(account_id)
        self.withdraw(item, grant, now)
        return self.grant(item, grant.world_account_id, now)

    def to_json(self) -> Sequence[Mapping[str, Any]]:
        """Describe all Items without their tokens."""
        return [
            {
                "item_id": item.item_id,
                "login_id": item.login_id,
                "institution_id": item.institution_id,
                "error_code": None if item.error is None else item.error.code,
                "exchanged": item.exchanged,
                "removed": item.removed,
            }
            for item in self
        ]
