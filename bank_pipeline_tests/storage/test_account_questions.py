"""Questions of accounts: what a person reads is what they decide by."""

from datetime import datetime

import sqlalchemy as sa

from bank_pipeline.domain.account_matching import AskedAccount
from bank_pipeline.storage.account_questions import list_questions, save_questions
from bank_pipeline.storage.accounts import save_accounts
from bank_pipeline_tests.builders import account
from bank_pipeline_tests.storage.linked import Linked
from bank_pipeline_tests.vaults import VAULT


def test_each_candidate_is_listed_with_its_own_name(
    db: sa.Connection, linked: Linked, now: datetime
) -> None:
    """Whatever order they are asked in: who picks a name must not get another account."""
    named = [account(1, name="Giro"), account(2, name="Card")]
    save_accounts(db, linked.connection, named, vault=VAULT, now=now)
    names = {linked.account_ids[one.external_id]: one.name for one in named}
    newest_first = sorted(linked.account_ids, key=lambda one: linked.account_ids[one], reverse=True)
    save_questions(
        db,
        linked.connection.id,
        [AskedAccount(account(3), tuple(newest_first))],
        account_ids=linked.account_ids,
        vault=VAULT,
        now=now,
    )

    [question] = list_questions(db)

    listed = zip(question.candidate_ids, question.candidate_names, strict=True)
    assert dict(listed) == names
    [shown] = db.execute(sa.text("SELECT candidate_ids::text[] FROM analytics.account_questions"))
    assert [names[one] for one in shown[0]] == [*question.candidate_names]
