import functools
from collections.abc import Callable

import pytest

from sparsat.hw.config import SATConfig
from sparsat.hw.tools.array_model import ArrayModel


@pytest.fixture(scope="session")
def array_model() -> Callable[[SATConfig], ArrayModel]:
    """Makes the Verilated array of a configuration, each once."""
    return functools.cache(ArrayModel)
