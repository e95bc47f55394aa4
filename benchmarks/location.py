"""The product's code location, with rates that are never met."""

from bank_pipeline.definitions import defs
from benchmarks.rates import widen_rates

widen_rates()

__all__ = ["defs"]
