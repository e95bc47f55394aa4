"""The files under `deploy/` fit together, and fit the commands and settings that there are."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main
import yaml

from bank_pipeline.cli.main import app
from bank_pipeline.cli.processes import EVENT_BATCH_SIZE, FAILURES_PER_TICK, join_configuration
from bank_pipeline.cli.serve import CODE_PORT, DEFINITIONS, code_server_command
from bank_pipeline.config import Settings
from bank_pipeline_tests.architecture.sources import ROOT

DEPLOY: Final = ROOT / "deploy"
OTHERWISE_ON_KUBERNETES: Final = {"run_launcher", "compute_logs", "local_artifact_storage"}
_OURS: Final = re.compile(r"\b(BANK_PIPELINE_[A-Z_]+)\b")
_NO_SETTINGS: Final = {"BANK_PIPELINE_DAGSTER_URL", "BANK_PIPELINE_IMAGE"}


def documents(path: Path) -> list[Any]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one is not None]


def compose() -> dict[str, Any]:
    [content] = documents(DEPLOY / "compose.yaml")
    assert isinstance(content, dict)
    return content


def commands() -> Iterator[list[str]]:
    """Yield the command lines of ours that the files start."""
    for service in compose()["services"].values():
        if service["image"] == "bank-pipeline":
            yield service["command"]
    for document in documents(DEPLOY / "kubernetes" / "parts.yaml"):
        if document["kind"] == "Deployment":
            pod = document["spec"]["template"]["spec"]
            for container in [*pod["containers"], *pod.get("initContainers", [])]:
                if "args" in container:
                    yield container["args"]
    for unit in (DEPLOY / "systemd").iterdir():
        for part in ["worker", "daemon", "webserver"]:
            [line] = re.findall(r"^ExecStart=\S+ (.*)$", unit.read_text(), re.MULTILINE)
            yield line.replace("%i", part).split()


@pytest.mark.parametrize("command", [*commands()], ids=" ".join)
def test_every_command_is_one_of_ours(command: list[str]) -> None:
    """With options that it has."""
    found: Any = typer.main.get_command(app)
    rest = [*command]
    while hasattr(found, "commands"):
        found = found.commands[rest.pop(0)]

    assert found.make_context("checked", rest, resilient_parsing=False)


def test_every_variable_is_a_setting() -> None:
    """A misspelt one would be ignored in silence."""
    known = {f"BANK_PIPELINE_{name.upper()}" for name in Settings.model_fields} | _NO_SETTINGS
    files = [path for path in DEPLOY.rglob("*") if path.is_file()]
    named = {name for path in files for name in _OURS.findall(path.read_text())}

    assert named - known == set()


def test_hosts_differ_in_launcher_and_logs_alone() -> None:
    """All else of the instance is the same wherever its runs are executed."""
    alone, joined = (
        join_configuration(["dagster.yaml"]),
        join_configuration(["dagster.yaml", "dagster.hosts.yaml"]),
    )

    changed = {key for key in joined if joined[key] != alone.get(key)}
    assert changed == {"run_launcher", "compute_logs"}


def test_the_instance_on_kubernetes_is_the_usual_one() -> None:
    """But for what its launcher brings along."""
    [there] = documents(DEPLOY / "kubernetes" / "dagster.yaml")
    here = join_configuration(["dagster.yaml"])

    for subject in OTHERWISE_ON_KUBERNETES:
        here.pop(subject, None)
        there.pop(subject)
    assert there == here


def test_the_code_server_on_kubernetes_is_one_process() -> None:
    """As that of `serve code`: of two, one can end and leave the other refusing every run."""
    parts = documents(DEPLOY / "kubernetes" / "parts.yaml")
    [code] = [
        one for one in parts if (one["kind"], one["metadata"]["name"]) == ("Deployment", "code")
    ]
    [container] = code["spec"]["template"]["spec"]["containers"]

    ours = code_server_command(DEFINITIONS, host="127.0.0.1", port=CODE_PORT)
    ours[ours.index("127.0.0.1")] = "0.0.0.0"  # noqa: S104 - whoever is in the cluster
    assert container["command"] == ours


def test_a_run_on_kubernetes_is_not_taken_for_a_command_of_ours() -> None:
    """Its Job has arguments alone (`dagster api ...`): the image's entry point is ours."""
    assert 'ENTRYPOINT ["bank-pipeline"]' in (DEPLOY / "Dockerfile").read_text()
    [instance] = documents(DEPLOY / "kubernetes" / "dagster.yaml")
    of_runs = instance["run_launcher"]["config"]["run_k8s_config"]["container_config"]

    dagster = str(Path(sys.executable).parent / "dagster")
    started = subprocess.run([*of_runs["command"], dagster, "--version"], check=False)

    assert started.returncode == 0


def test_dagster_on_kubernetes_works_as_fast_as_anywhere() -> None:
    """`bank-pipeline serve` sets these, and what is started there goes without it."""
    usual = {
        "DAGSTER_EVENT_BATCH_SIZE": EVENT_BATCH_SIZE,
        "DAGSTER_RUN_STATUS_SENSOR_PROCESS_LIMIT": FAILURES_PER_TICK,
    }
    parts = documents(DEPLOY / "kubernetes" / "parts.yaml")
    pods = [one["spec"]["template"]["spec"] for one in parts if one["kind"] == "Deployment"]
    started = [one for pod in pods for one in pod["containers"] if "command" in one]
    [instance] = documents(DEPLOY / "kubernetes" / "dagster.yaml")
    of_runs = dict(one.split("=") for one in instance["run_launcher"]["config"]["env_vars"])

    assert len(started) == 3
    for container in started:
        assert usual.items() <= {one["name"]: one["value"] for one in container["env"]}.items()
    assert of_runs == {"DAGSTER_EVENT_BATCH_SIZE": EVENT_BATCH_SIZE}


def test_kubernetes_manifests_fit_together() -> None:
    """Each service finds its pods, each pod the maps and the account that are made."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed: it puts the manifests together")
    built = subprocess.run(
        ["kubectl", "kustomize", str(DEPLOY / "kubernetes")],
        capture_output=True,
        text=True,
        check=True,
    )
    by_kind: dict[str, list[Any]] = {}
    for document in yaml.safe_load_all(built.stdout):
        by_kind.setdefault(document["kind"], []).append(document)
    pods = {one["metadata"]["name"]: one["spec"]["template"] for one in by_kind["Deployment"]}
    maps = {one["metadata"]["name"] for one in by_kind["ConfigMap"]}
    accounts = {one["metadata"]["name"] for one in by_kind["ServiceAccount"]}

    for service in by_kind["Service"]:
        pod = pods[service["spec"]["selector"]["app"]]
        ports = {port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
        assert {port["port"] for port in service["spec"]["ports"]} <= ports
    for pod in pods.values():
        assert {volume["configMap"]["name"] for volume in pod["spec"]["volumes"]} <= maps
        assert pod["spec"]["serviceAccountName"] in accounts
