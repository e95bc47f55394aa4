"""What it costs to parse and translate an answer, before anything is written."""


def measure_parsing() -> dict[str, float]:
    return {}
