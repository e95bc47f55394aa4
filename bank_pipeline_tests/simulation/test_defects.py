"""Mutation check of the proof itself: deliberate defects are noticed, and only they."""

from typing import Final

import pytest

from bank_pipeline.domain import depth
from bank_pipeline.simulation import kills, year
from bank_pipeline_tests.simulation import mortal_with_defect
from bank_pipeline_tests.simulation.defects import DEFECTS
from bank_pipeline_tests.simulation.planting import Defect, always
from bank_pipeline_tests.simulation.stages import Stage

STAGES: Final = {one.stage.name: one.stage for one in DEFECTS if one.stage is not None}
LOOK_EVERY_DAYS: Final = 3


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES.keys())
def test_without_a_defect_nothing_is_found(
    stage: Stage, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _prepare(stage, monkeypatch)
    report = stage.play(server_url)

    assert report.violations == []


@pytest.mark.parametrize(
    "defect",
    [one for one in DEFECTS if one.stage is not None],
    ids=lambda one: one.name,
)
def test_the_simulation_notices(
    defect: Defect, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert defect.stage is not None
    _prepare(defect.stage, monkeypatch)
    defect.plant(monkeypatch)
    monkeypatch.setattr(kills, "_MODULE", mortal_with_defect.__name__)
    monkeypatch.setenv(mortal_with_defect.PLANTED, defect.plant.__name__)

    report = defect.stage.play(server_url)

    found = {checker for checker in defect.caught_by if _has_found(report.violations, checker)}
    import collections

    print(
        "SUMMARY",
        defect.name,
        collections.Counter(v.split(":")[0] for v in report.violations),
        report.injected,
        report.failures,
        report.kills,
    )
    assert found == set(defect.caught_by), report.violations[:5]


@pytest.mark.parametrize(
    "defect", [one for one in DEFECTS if one.properties], ids=lambda one: one.name
)
def test_the_properties_notice(defect: Defect, monkeypatch: pytest.MonkeyPatch) -> None:
    defect.plant(monkeypatch)

    for holds in defect.properties:
        with pytest.raises(AssertionError):
            holds()


def _prepare(stage: Stage, patch: pytest.MonkeyPatch) -> None:
    """Look often: a stage is over before a year's first look."""
    patch.setattr(year, "LOOK_EVERY_DAYS", LOOK_EVERY_DAYS)
    if not stage.has_deeper_passes:
        patch.setattr(depth, "is_deep_due", always(False))


def _has_found(violations: object, checker: str) -> bool:
    assert isinstance(violations, list)
    return any(one.startswith(f"{checker}: ") for one in violations)
