from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sparsat.dataflow.array_gemm import ArrayGemm, GroupedB
from sparsat.hw.array_op import Dataflow
from sparsat.hw.config import preset
from sparsat.hw.tools.array_model import ArrayStreams

TINY = preset("tiny")
GEMM = ArrayGemm(TINY, p=32, q=32, k=64, dataflow=Dataflow.OS, n=2, m=8, ir=4, is_=4)
STREAMS = GEMM.streams(
    np.zeros((32, 64), np.uint16),
    GroupedB(np.zeros((32, 8, 2), np.uint16), np.zeros((32, 8, 2), np.uint8)),
)


def changed(port: str, change) -> ArrayStreams:
    """The streams with every word array of a port changed."""
    words: dict[str, Any] = {port: [change(array) for array in getattr(STREAMS, port)]}
    return replace(STREAMS, **words)


def test_words_of_a_wrong_type_are_refused(array_model):
    with pytest.raises(TypeError, match="int64, they must be contiguous uint32"):
        array_model(TINY).run([GEMM.op], changed("a", lambda words: words.astype(np.int64)))


@pytest.mark.parametrize(
    ("port", "change", "message"),
    [
        ("a", lambda words: words[:-1], "a row asked for more values of A"),
        ("b", lambda words: words[:-1], "a column asked for more values of B"),
        ("a", lambda words: np.append(words, words[:1]), r"A: ports \[0, 1, 2, 3\] have words"),
    ],
)
def test_words_missing_or_left_over_are_reported(array_model, port, change, message):
    with pytest.raises(RuntimeError, match=message):
        array_model(TINY).run([GEMM.op], changed(port, change))


def test_missing_initial_sums_are_reported(array_model):
    op = replace(GEMM.op, resume=True)
    with pytest.raises(RuntimeError, match="a column asked for more initial sums"):
        array_model(TINY).run([op], STREAMS)


def test_more_sums_than_expected_are_reported(array_model):
    with pytest.raises(RuntimeError, match="a column gave more sums than expected"):
        array_model(TINY).run([GEMM.op], replace(STREAMS, sums=STREAMS.sums - 1))
