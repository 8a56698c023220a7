"""`python -m sparsat.cli` is the `sparsat` command."""

from sparsat.cli.main import app

app(prog_name="sparsat")
