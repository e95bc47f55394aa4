"""The properties use the same ground as the tests of the use cases."""

from bank_pipeline_tests.sync.conftest import announced, ground, sandbox

__all__ = ["announced", "ground", "sandbox"]
