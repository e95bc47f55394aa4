"""What a seed draws: all kinds, enough of each, spread over the time."""

import pytest

from chaos.plan import KILLS, RESTARTS, Blow, draw

SEEDS = range(1, 6)


def drawn(seed: int, minutes: float = 10.0, *, has_workers: bool = True) -> list[Blow]:
    planned = draw(seed, minutes=minutes, has_workers=has_workers, has_disk=True)
    return [one.blow for one in planned]


@pytest.mark.parametrize("has_workers", [True, False])
def test_five_runs_make_200_kills_and_20_restarts(has_workers: bool) -> None:
    """With some to spare: what is planned for the last moment may not be had any more."""
    blows = [blow for seed in SEEDS for blow in drawn(seed, has_workers=has_workers)]

    assert sum(blow in KILLS for blow in blows) >= 240
    assert sum(blow in RESTARTS for blow in blows) >= 25


def test_a_short_run_has_one_of_each_kind() -> None:
    """None is left out, however short the run is."""
    assert {*drawn(1, minutes=0.5)} == {*Blow}


def test_what_is_not_there_is_not_broken() -> None:
    """Without warm workers there is no Redis, and where nobody may mount no small disk."""
    planned = draw(1, minutes=10, has_workers=False, has_disk=False)

    missing = {Blow.WORKER_KILLED, Blow.BROKER_GONE, Blow.ARCHIVE_FULL}
    assert {one.blow for one in planned} == {*Blow} - missing


def test_a_seed_is_a_plan() -> None:
    """The same seed breaks the same at the same time, another seed something else."""
    plans = [
        [(one.at_s, one.blow, one.lasts_s) for one in
         draw(seed, minutes=10, has_workers=True, has_disk=True)]
        for seed in (1, 1, 2)
    ]  # fmt: skip

    assert plans[0] == plans[1] != plans[2]
    assert plans[0] == sorted(plans[0], key=lambda one: one[0])
    assert 0 <= plans[0][0][0] <= plans[0][-1][0] <= 600
