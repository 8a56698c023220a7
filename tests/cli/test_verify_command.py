"""`sparsat verify`, `train-on-machine --hardware`: requests that are refused before a build."""

import pytest
from typer.testing import CliRunner

from sparsat.cli.main import app


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify"], "needs a MODEL or --random K"),
        (["verify", "resnet9", "--random", "3"], "needs a MODEL or --random K"),
        (["verify", "--random", "-3"], "--random is -3, it must be at least 1"),
        (
            ["verify", "--random", "3", "--config", "vcu1525"],
            "hardware is simulated as tiny or small",
        ),
        (["verify", "--random", "3", "--pattern", "2:4"], "--pattern is for a MODEL"),
        (["verify", "resnet9", "--pattern", "3:5"], "M must be 4, 8 or 16"),
        (["verify", "nosuch"], "unknown model 'nosuch'"),
        (
            ["train-on-machine", "cnn", "--hardware", "--config", "vcu1525"],
            "hardware is simulated as tiny or small",
        ),
    ],
)
def test_bad_requests(arguments, message):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
