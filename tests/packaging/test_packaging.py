"""What is published, and that it works where nothing but its own requirements is installed."""

from __future__ import annotations

import sys
import tarfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest
from environments import (
    INSTALL_SECONDS,
    Distributions,
    Environment,
    find_python,
    lower_bounds,
    output_of,
    setup_cfg,
)

PLUGIN = "twisted/plugins/realtime_relay_plugin.py"

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHONS = [
    version
    for line in setup_cfg()["metadata"]["classifiers"].split("\n")
    if "." in (version := line.removeprefix("Programming Language :: Python :: "))
    and version != RUNNING
]
"""The other Pythons that the project says it runs on."""

CHECKED_BY_MYPY = """
[mypy]
strict = true
plugins = mypy_zope:plugin
# Much of Twisted has no annotations.
disallow_untyped_calls = false
"""

TESTS_OF_BOUNDS = [
    "tests/downstream/test_hold.py",
    "tests/telemetry/test_metrics.py",
    "tests/session/test_session.py",
    "tests/config/test_settings.py",
    "tests/dial/test_tls.py",
    "tests/peer/test_seam.py",
    "tests/integration/test_broken_tls.py",
]
"""Fast, and each requirement has a part in one of them."""

NEEDED_BY_THEM = ("hypothesis", "pytest", "pytest-twisted", "trustme", "websockets")


def package_files(checkout: Path) -> set[str]:
    """What is installed of the project. Nothing else may be in "twisted", which is Twisted's."""
    modules = {str(path.relative_to(checkout)) for path in checkout.glob("relay/**/*.py")}
    served = {str(path.relative_to(checkout)) for path in checkout.glob("relay/web/static/*")}
    return {*modules, *served, "relay/py.typed", PLUGIN}


def contents(wheel: Path) -> tuple[set[str], Message, set[str]]:
    """The files of a wheel, its metadata, and the names of its other metadata files."""
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        about = metadata.removesuffix("METADATA")
        others = {name.removeprefix(about) for name in names if name.startswith(about)}
        files = {name for name in names if not name.startswith(about)}
        return files, message_from_bytes(archive.read(metadata)), others


def test_the_wheel_holds_the_package_and_the_plugin(
    distributions: Distributions, checkout: Path
) -> None:
    files, metadata, others = contents(distributions.wheel)
    assert files == package_files(checkout)
    assert "licenses/LICENSE" in others
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload(decode=True) == (checkout / "README.md").read_bytes()


def test_the_source_distribution_holds_what_the_wheel_is_made_from(
    distributions: Distributions, checkout: Path
) -> None:
    with tarfile.open(distributions.sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    files = {name for name in names if ".egg-info/" not in name}
    assert files == {
        *package_files(checkout),
        *("LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"),
    }


@pytest.fixture(params=["of_wheel", "of_checkout"])
def environment(request: pytest.FixtureRequest) -> Environment:
    found: Environment = request.getfixturevalue(request.param)
    return found


def test_twistd_knows_the_installed_plugin(environment: Environment) -> None:
    assert {"realtime-relay", "web"} <= environment.plugins()


def test_the_command_is_installed(environment: Environment) -> None:
    assert environment.run("realtime-relay", "--help").startswith("Usage: realtime-relay COMMAND")
    assert "--demo" in environment.run("realtime-relay", "run", "--help")


def test_an_installed_demo_runs(environment: Environment) -> None:
    assert environment.runs_demo()


def test_uninstalling_leaves_twistd_as_it_was(
    of_wheel: Environment, distributions: Distributions
) -> None:
    before = of_wheel.plugins()
    of_wheel.pip("uninstall", "--yes", "realtime-relay")
    try:
        assert of_wheel.plugins() == before - {"realtime-relay"}
    finally:
        of_wheel.install("--no-deps", str(distributions.wheel))


def test_mypy_sees_the_types_of_the_installed_package(
    of_wheel: Environment, checkout: Path, tmp_path: Path
) -> None:
    of_wheel.install("mypy", "mypy-zope")
    config = tmp_path / "mypy.ini"
    config.write_text(CHECKED_BY_MYPY)
    of_wheel.run("mypy", "--config-file", str(config), str(checkout / "examples"))


@pytest.mark.parametrize("version", PYTHONS)
def test_an_installed_demo_runs_on_the_other_pythons(
    version: str, distributions: Distributions, tmp_path: Path
) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"no python{version}, neither on PATH nor under PYENV_ROOT")
    environment = Environment.create(tmp_path, python)
    environment.install(str(distributions.wheel))
    assert environment.runs_demo()


def test_the_oldest_requirements_are_enough(
    distributions: Distributions, checkout: Path, tmp_path: Path
) -> None:
    needed = lower_bounds(setup_cfg()["options"]["install_requires"])
    extras = setup_cfg()["options.extras_require"]
    of_tests = lower_bounds(extras["testing"] + extras["test"])
    environment = Environment.create(tmp_path)
    environment.install(
        str(distributions.wheel), *needed.values(), *(of_tests[name] for name in NEEDED_BY_THEM)
    )
    assert environment.runs_demo()
    # hypothesis draws against the clock, and here with nothing compiled yet.
    pytest_there = [environment.path("pytest"), "-p", "no:cacheprovider", "-m", "not hypothesis"]
    output_of([*pytest_there, *TESTS_OF_BOUNDS], checkout, INSTALL_SECONDS)
