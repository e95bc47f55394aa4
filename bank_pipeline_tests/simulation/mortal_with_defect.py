"""A mortal process with a defect in it; see `bank_pipeline.simulation.mortal`."""

import os

import pytest

from bank_pipeline.simulation import mortal
from bank_pipeline_tests.simulation import plants

PLANTED = "PLANTED_DEFECT"
"""The variable that names the function of `plants`."""

if __name__ == "__main__":
    getattr(plants, os.environ[PLANTED])(pytest.MonkeyPatch())
    mortal.main()
