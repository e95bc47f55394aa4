"""Complaints 20 and 25, what recognising accounts adds: second links, other providers."""

from urllib.parse import parse_qsl, urlsplit

import httpx

from bank_pipeline.sync.link import accept_return, start_link
from bank_pipeline_tests.complaints.conftest import PutOn
from bank_pipeline_tests.complaints.scene import Scene


def test_20_a_second_link_of_the_same_login_is_a_renewal(european: Scene) -> None:
    """
    Who linked their bank again had everything twice.

    securo#445, syllogic-ai/syllogic#139, sure#3657, accounted#1728.
    """
    scene = european.customer()
    scene.buy("-12.00")
    scene.link().sync()
    first, ids = scene.connection, scene.ids()
    scene.link()
    assert scene.connection == first
    scene.next_day()

    assert scene.ids() == ids
    assert scene.value("SELECT count(*) FROM bank.accounts WHERE closed_at IS NULL") == 1
    assert scene.differences() == []


def test_25_another_provider_takes_over_and_history_stays(put_on: PutOn) -> None:
    """
    The provider closed, and years of history were to be left behind or imported twice.

    firefly#11070, actual#5445, adept/gocardless-to-csv#4, OCA#867, Budget#319,
    invoiceninja/invoiceninja#11373.
    """
    scene = put_on("gocardless").customer()
    for days_ago in range(6):
        scene.buy(f"-{days_ago + 1}.00", f"Shop {days_ago}", days_ago=days_ago)
    scene.link().sync()
    ids = scene.ids()
    assert len(ids) == 6

    other = put_on("enable_banking")
    other.login, other.connection = scene.login, scene.connection
    started = start_link(
        other.stage.context,
        other.stage.case.provider,
        team_name="home",
        institution="DE:Sparkasse Müritz-Öchtringen",
        renews=scene.connection,
    )
    choice = {"outcome": "approve", "login": scene.login, "account": [scene.account()]}
    answer = httpx.post(started.url, data=choice)
    returned = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    state = accept_return(other.stage.context, other.stage.case.provider, returned)
    assert state.connection_ids == (scene.connection,)
    other.buy("-9.00", "After")
    other.next_day()

    assert ids < other.ids()
    amounts = [row.amount for row in other.rows() if row.amount is not None]
    assert sorted(-amount for amount in amounts) == [1, 2, 3, 4, 5, 6, 9]
    assert other.differences() == []
