"""The manifests of deploy/kubernetes, put together by kubectl and held against the API's own schemas."""

import copy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine, text

KUBECTL = shutil.which("kubectl") or ""
VERSION = "1.31"

pytestmark = pytest.mark.skipif(KUBECTL == "", reason="no kubectl")
kubernetes_validate = pytest.importorskip("kubernetes_validate")


def built(name: str) -> list[dict[str, Any]]:
    """All objects of a base or an overlay."""
    command = [KUBECTL, "kustomize", str(Path("deploy/kubernetes") / name)]
    return list(
        yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    )


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return built("keda")


def of_kubernetes(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in objects if not each["apiVersion"].startswith("keda.sh/")]


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {}
    for each in objects:
        spec = each["spec"].get("jobTemplate", each).get("spec", {})
        if each["kind"] in ("Deployment", "Job", "CronJob"):
            found[each["metadata"]["name"]] = spec["template"]["spec"]
    return found


@pytest.mark.parametrize("version", [VERSION, kubernetes_validate.latest_version()])
def test_kubernetes_understands_every_object(objects: list[dict[str, Any]], version: str) -> None:
    assert len(of_kubernetes(objects)) == len(built("base")) > 8
    for each in of_kubernetes(objects):
        kubernetes_validate.validate(each, version, strict=True)


def test_a_misspelt_key_is_found(objects: list[dict[str, Any]]) -> None:
    deployment = copy.deepcopy(next(each for each in objects if each["kind"] == "Deployment"))
    deployment["spec"]["template"]["spec"]["restartPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, VERSION, strict=True)


def test_no_pod_may_write_gain_rights_or_ask_the_cluster(objects: list[dict[str, Any]]) -> None:
    assert len(pods(objects)) >= 5
    for pod in pods(objects).values():
        (container,) = pod["containers"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["image"].startswith("highlevel-etl:")
        assert container["resources"].keys() == {"requests", "limits"}


def test_selectors_choose_the_pods_that_are_meant(objects: list[dict[str, Any]]) -> None:
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in objects if each["kind"] == "Deployment"]
    for each in objects:
        spec = each["spec"]
        wanted = spec["selector"] if each["kind"] == "Service" else spec.get("podSelector", spec.get("selector", {}))
        wanted = wanted.get("matchLabels", wanted)
        if each["kind"] in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
            assert wanted, each["metadata"]["name"]
            assert any(wanted.items() <= one.items() for one in labels), each["metadata"]["name"]


def test_workers_are_counted_by_the_locations_with_due_items(objects: list[dict[str, Any]], engine: Engine) -> None:
    (scaled,) = (each for each in objects if each["kind"] == "ScaledObject")
    query = text(scaled["spec"]["triggers"][0]["metadata"]["query"])
    with engine.begin() as connection:
        assert connection.execute(query).scalar_one() == 0
        connection.execute(
            text("SELECT etl.enqueue(id, place) FROM unnest('{a,b,c}'::text[], '{L1,L1,L2}'::text[]) AS u (id, place)")
        )
        assert connection.execute(query).scalar_one() == 2
