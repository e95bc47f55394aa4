"""
Mutation check of the proof itself: deliberate defects are noticed, and nothing else is.

`make test` plants those that cost little; `make mutants` plants all of them.
"""

from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from bank_pipeline.domain import depth
from bank_pipeline.simulation import kills, year
from bank_pipeline_tests.simulation import mortal_with_defect
from bank_pipeline_tests.simulation.defects import DEFECTS
from bank_pipeline_tests.simulation.planting import Defect, always
from bank_pipeline_tests.simulation.stages import EVERY_TIME, Stage

STAGES: Final = {one.stage.name: one.stage for one in DEFECTS if one.stage is not None}
LOOK_EVERY_DAYS: Final = 3
DEFECTS_MIN: Final = 40


@pytest.fixture
def patient() -> Iterator[None]:
    """Let no property fail because the machine is slow: that would notice nothing."""
    before = settings.get_current_profile_name()
    checks = [HealthCheck.too_slow, HealthCheck.differing_executors]
    settings.register_profile(
        "patient", settings.get_profile(before), deadline=None, suppress_health_check=checks
    )
    settings.load_profile("patient")
    yield
    settings.load_profile(before)


def _marks(stage: Stage) -> list[pytest.MarkDecorator]:
    return [] if stage in EVERY_TIME else [pytest.mark.mutants]


def test_no_defect_is_planted_twice() -> None:
    assert len({one.name for one in DEFECTS}) == len({one.breaks for one in DEFECTS})
    assert len(DEFECTS) >= DEFECTS_MIN


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda one: one.name)
def test_each_defect_has_its_place_in_the_code_of_today(
    defect: Defect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most are planted by `make mutants` alone: what moved would be missed until then."""
    defect.plant(monkeypatch)


@pytest.mark.parametrize(
    "stage",
    [pytest.param(one, id=one.name, marks=_marks(one)) for one in STAGES.values()],
)
def test_without_a_defect_nothing_is_found(
    stage: Stage, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _prepare(stage, monkeypatch)

    assert stage.play(server_url).violations == []


@pytest.mark.parametrize(
    ("defect", "stage"),
    [
        pytest.param(one, one.stage, id=one.name, marks=_marks(one.stage))
        for one in DEFECTS
        if one.stage is not None
    ],
)
def test_the_simulation_notices(
    defect: Defect, stage: Stage, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _prepare(stage, monkeypatch)
    monkeypatch.setattr(kills, "_MODULE", mortal_with_defect.__name__)
    monkeypatch.setenv(mortal_with_defect.PLANTED, defect.plant.__name__)
    defect.plant(monkeypatch)

    report = stage.play(server_url)

    found = {one.partition(": ")[0] for one in report.violations}
    assert set(defect.caught_by) <= found, (report.violations[:5], report.injected)


@pytest.mark.parametrize(
    "defect", [one for one in DEFECTS if one.properties], ids=lambda one: one.name
)
@pytest.mark.usefixtures("patient")
def test_the_properties_notice(defect: Defect, monkeypatch: pytest.MonkeyPatch) -> None:
    for holds in defect.properties:
        with monkeypatch.context() as patch:
            defect.plant(patch)
            with pytest.raises(AssertionError):
                holds()


def _prepare(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    """Look often: a stage is over before a year's first look."""
    patch.setattr(year, "LOOK_EVERY_DAYS", LOOK_EVERY_DAYS)
    if not stage.has_deeper_passes:
        patch.setattr(depth, "deep_due_on", always(None))
