"""What the container files name is there, and they give the relay the time that it takes to end."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from attrs import frozen
from processes import SECONDS

from relay import Settings
from relay.commands.main import COMMANDS
from relay.config.load import load
from relay.config.plan import Flags, Plan, plan
from relay.daemon.tap import Options

ROOT = Path(__file__).parents[1]
KUBERNETES = ROOT / "deploy" / "kubernetes"
COMPOSE = ROOT / "deploy" / "compose"

SPARE_SECONDS = 5.0
"""What is to be left when the relay has ended in its time."""

KNOWN_SECONDS = 5.0
"""Until all of a cluster know that a pod is not ready, from when one does."""


def manifest(kind: str) -> Any:
    """The one of this kind."""
    found = [yaml.safe_load(path.read_text("utf-8")) for path in KUBERNETES.glob("*.yaml")]
    (one,) = (each for each in found if each["kind"] == kind)
    return one


POD = manifest("Deployment")["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
(SERVICE,) = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"].values()


@frozen
class Image:
    """What the Dockerfile says."""

    text: str = (ROOT / "Dockerfile").read_text("utf-8")

    def said(self, word: str) -> str:
        (value,) = re.findall(rf"^{word} (.*)$", self.text, re.MULTILINE)
        return str(value)

    @property
    def arguments(self) -> list[str]:
        found: list[str] = json.loads(self.said("CMD"))
        return found


def settings(folder: Path) -> Settings:
    return load((folder / "relay.toml").read_text("utf-8"))


def port(endpoint: str) -> int:
    return int(endpoint.split(":")[1])


def ports(found: Settings) -> list[int]:
    return [*(port(listener.endpoint) for listener in found.listeners), port(found.admin)]


def drain(found: Settings) -> float:
    return found.drain_delay_seconds + found.drain_seconds + 1


@pytest.mark.parametrize("arguments", [Image().arguments, CONTAINER["args"]])
def test_the_command_and_its_flags_are_there(arguments: list[str]) -> None:
    command, *flags = arguments
    assert json.loads(Image().said("ENTRYPOINT")) == ["realtime-relay"]
    assert command in COMMANDS
    known = {f"--{name.rstrip('=')}" for name in Options().longOpt}
    assert {flag for flag in flags if flag.startswith("-")} <= known
    assert flags[-1] == "/etc/realtime-relay/relay.toml"


@pytest.mark.parametrize("folder", [COMPOSE, KUBERNETES], ids=lambda folder: folder.name)
def test_the_relay_takes_the_settings(folder: Path, tmp_path: Path) -> None:
    secret = manifest("Secret")["stringData"]
    for name, text in secret.items():
        (tmp_path / name).write_text(text)
    text = (folder / "relay.toml").read_text("utf-8")
    text, replaced = re.subn(r'(_file = ")/.*(/[^/"]+")', rf"\1{tmp_path}\2", text)
    assert replaced == len(secret)
    (tmp_path / "relay.toml").write_text(text)
    found = plan(str(tmp_path / "relay.toml"), Flags(), {})
    assert isinstance(found, Plan), found
    assert found.guarded


def test_the_image_is_of_a_python_that_the_relay_is_for() -> None:
    version = re.findall(r"^ARG PYTHON=(.*)$", Image().text, re.MULTILINE)[0]
    assert f"Programming Language :: Python :: {version}\n" in (ROOT / "setup.cfg").read_text()


def test_the_image_is_made_from_the_package_alone() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    names = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert lines[1] == "*", "no key comes in by oversight"
    assert all((ROOT / name).exists() for name in names)
    assert {"relay", "twisted", "setup.cfg", "pyproject.toml", "README.md"} <= {*names}


@pytest.mark.parametrize("folder", [COMPOSE, KUBERNETES], ids=lambda folder: folder.name)
def test_no_key_beside_the_settings_is_ever_committed(folder: Path) -> None:
    names = [str(folder / name) for name in manifest("Secret")["stringData"]]
    command = ["git", "check-ignore", *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert done.stdout.splitlines() == names


# compose.yaml


def test_compose_publishes_the_ports_of_the_settings() -> None:
    inside = [int(each.rpartition(":")[2]) for each in SERVICE["ports"]]
    assert inside == ports(settings(COMPOSE)) == [*map(int, Image().said("EXPOSE").split())]
    assert all(each.startswith("127.0.0.1:") for each in SERVICE["ports"])
    assert f"127.0.0.1:{port(settings(COMPOSE).admin)}/healthz" in SERVICE["healthcheck"]["test"][3]


def test_compose_does_not_kill_the_relay_while_it_drains() -> None:
    grace = float(SERVICE["stop_grace_period"].removesuffix("s"))
    assert grace >= drain(settings(COMPOSE)) + SPARE_SECONDS


def test_compose_mounts_all_that_the_settings_name() -> None:
    here, there, mode = SERVICE["volumes"][0].split(":")
    assert (ROOT / here / "relay.toml").exists()
    assert mode == "ro"
    found = settings(COMPOSE)
    named = [found.upstream[0].key_file, found.auth.keys_file, Image().arguments[-1]]
    assert {str(PurePosixPath(name or "").parent) for name in named} == {there}


# Kubernetes


def test_the_pod_is_not_killed_while_it_drains() -> None:
    assert POD["terminationGracePeriodSeconds"] >= drain(settings(KUBERNETES)) + SPARE_SECONDS


def test_the_pod_accepts_until_all_know_that_it_ends() -> None:
    probe = CONTAINER["readinessProbe"]
    seconds = probe["periodSeconds"] * probe["failureThreshold"] + KNOWN_SECONDS
    assert settings(KUBERNETES).drain_delay_seconds >= seconds


def test_probes_and_clients_find_the_ports_of_the_settings() -> None:
    named = {each["name"]: each["containerPort"] for each in CONTAINER["ports"]}
    assert [*named.values()] == ports(settings(KUBERNETES))
    assert named["admin"] == port(settings(KUBERNETES).admin)
    probes = [CONTAINER[kind]["httpGet"] for kind in ("livenessProbe", "readinessProbe")]
    assert [probe["path"] for probe in probes] == ["/healthz", "/readyz"]
    assert {probe["port"] for probe in probes} == {"admin"}
    assert [each["targetPort"] for each in manifest("Service")["spec"]["ports"]] == ["realtime"]


def test_all_manifests_are_about_the_same_pods() -> None:
    labels = manifest("Deployment")["spec"]["template"]["metadata"]["labels"]
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert manifest(kind)["spec"]["selector"]["matchLabels"] == labels
    assert manifest("Service")["spec"]["selector"] == labels
    files = {*manifest("Kustomization")["resources"]}
    assert files == {path.name for path in KUBERNETES.glob("*.yaml")} - {
        "kustomization.yaml",
        "secret.yaml",
    }


def test_the_pod_has_all_files_that_the_settings_name() -> None:
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in POD["volumes"]}
    (generated,) = manifest("Kustomization")["configMapGenerator"]
    assert volumes["settings"]["configMap"]["name"] == generated["name"]
    assert CONTAINER["args"][-1] in [f"{mounts['settings']}/{name}" for name in generated["files"]]
    secret = manifest("Secret")
    assert volumes["keys"]["secret"]["secretName"] == secret["metadata"]["name"]
    found = settings(KUBERNETES)
    named = {found.upstream[0].key_file, found.auth.keys_file}
    assert named == {f"{mounts['keys']}/{name}" for name in secret["stringData"]}


def test_the_pod_and_the_image_have_the_same_user() -> None:
    user = POD["securityContext"]["runAsUser"], POD["securityContext"]["runAsGroup"]
    assert Image().said("USER") == "{}:{}".format(*user)
    assert POD["securityContext"]["fsGroup"] == user[1], "it may read the keys"
