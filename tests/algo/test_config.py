"""What `NMConfig` refuses when it is made."""

from typing import Any

import pytest

from sparsat.algo import NMConfig


@pytest.mark.parametrize("place", [{"exclude": ["(head"]}, {"per_layer": {"(head": "2:4"}}])
def test_a_malformed_regex_is_told_in_one_line(place: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"regex '\(head' cannot be read: missing \)") as error:
        NMConfig(**place)
    assert "\n" not in str(error.value)
