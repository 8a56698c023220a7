from pathlib import Path

from sparsat.hw.isa.encoding import PLACES
from sparsat.hw.isa.fields import MEANING, to_markdown

PAGE = Path(__file__).parents[3] / "docs" / "isa_fields.md"


def test_the_page_is_current():
    assert PAGE.read_text() == to_markdown(), "run `make isa-fields`"


def test_no_meaning_is_left_from_a_field_that_is_gone():
    assert {place.name for places in PLACES.values() for place in places} == set(MEANING)
