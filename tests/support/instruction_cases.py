"""Instructions at random, for tests of the instruction set."""

from hypothesis import strategies as st

from sparsat.hw.isa.encoding import PLACES
from sparsat.hw.isa.instructions import INSTRUCTIONS, Instruction


def instructions_of(kind: type[Instruction]) -> st.SearchStrategy[Instruction]:
    """Any `kind` whose fields fit their bits, ends and defaults often."""
    values = {
        place.name: st.one_of(
            st.just(place.default),
            st.sampled_from([place.width.least, place.width.most]),
            st.integers(place.width.least, place.width.most),
        )
        for place in PLACES[kind.OPCODE]
    }
    return st.builds(kind, **values)


def instructions() -> st.SearchStrategy[Instruction]:
    """Any instruction."""
    return st.one_of([instructions_of(kind) for kind in INSTRUCTIONS.values()])
