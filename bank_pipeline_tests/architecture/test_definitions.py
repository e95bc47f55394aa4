"""The table of contents in definitions.py is complete."""

from pathlib import Path

import dagster as dg

import bank_pipeline
from bank_pipeline.definitions import defs
from bank_pipeline_tests.architecture.sources import ROOT


def names(definitions: dg.Definitions) -> set[str]:
    repository = definitions.get_repository_def()
    return {
        *(key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()),
        *(job.name for job in repository.get_all_jobs()),
        *(schedule.name for schedule in repository.schedule_defs),
        *(sensor.name for sensor in repository.sensor_defs),
    }


def test_definitions_lists_everything_in_defs() -> None:
    """What Dagster would find by itself in `defs/` is exactly what definitions.py lists."""
    found = dg.load_from_defs_folder(path_within_project=Path(bank_pipeline.__file__))
    resources = dg.Definitions(resources=dict(defs.resources or {}))

    assert names(defs) == names(dg.Definitions.merge(found, resources))


def test_everything_is_described() -> None:
    """The operator's screen explains each asset, job, schedule and sensor."""
    repository = defs.get_repository_def()
    graph = repository.asset_graph

    described = {
        **{key.to_user_string(): graph.get(key).description for key in graph.get_all_asset_keys()},
        **{job.name: job.description for job in repository.get_all_jobs() if job.name[:2] != "__"},
        **{one.name: one.description for one in repository.schedule_defs},
        **{one.name: one.description for one in repository.sensor_defs},
    }

    assert [name for name, text in described.items() if not text] == []


def test_everything_is_labelled() -> None:
    """Each asset says whose it is, where it lies and what one partition of it is."""
    repository = defs.get_repository_def()
    graph = repository.asset_graph
    assets = [graph.get(key) for key in graph.get_all_asset_keys()]

    assert [one.key for one in assets if one.group_name != "bank" or not one.owners] == []
    assert [one.key for one in assets if "bank/unit" not in one.tags or not one.kinds] == []
    labelled = {
        **{job.name: job.tags for job in repository.get_all_jobs() if job.name[:2] != "__"},
        **{one.name: one.metadata for one in repository.schedule_defs},
        **{one.name: one.metadata for one in repository.sensor_defs},
    }
    assert [name for name, labels in labelled.items() if "bank/purpose" not in labels] == []


def test_every_check_says_how_grave_it_is_and_is_in_the_operators_guide() -> None:
    """What a check is about and what to do about it can be read before it fails."""
    graph = defs.get_repository_def().asset_graph
    specs = [graph.get_check_spec(key) for key in graph.asset_check_keys]
    guide = (ROOT / "docs" / "operations.md").read_text()

    assert [one.name for one in specs if not one.description or not one.metadata] == []
    assert [one.name for one in specs if f"| `{one.name}` |" not in guide] == []
