"""What takes long to make is made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from environments import Distributions, Environment, build, copy_checkout


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a fresh clone would have it."""
    folder = tmp_path_factory.mktemp("checkout")
    copy_checkout(folder)
    return folder


@pytest.fixture(scope="session")
def distributions(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    return build(checkout, tmp_path_factory.mktemp("distributions"))


@pytest.fixture(scope="session")
def of_wheel(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel and what it depends on."""
    environment = Environment.create(tmp_path_factory.mktemp("wheel"))
    environment.install(str(distributions.wheel))
    return environment


@pytest.fixture(scope="session")
def of_checkout(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An editable installation."""
    environment = Environment.create(tmp_path_factory.mktemp("editable"))
    environment.install("--editable", str(checkout))
    return environment
