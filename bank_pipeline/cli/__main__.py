"""`python -m bank_pipeline.cli`: the same as `bank-pipeline`."""

from bank_pipeline.cli.main import main

main()
