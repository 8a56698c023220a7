"""The `sparsat` command. Each subcommand lives in a module of its own and imports lazily."""

import typer
from sparsat.cli import train

app = typer.Typer(
    name="sparsat",
    help="Hardware, algorithm and dataflow co-design kit for N:M sparse DNN training.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback()
def root() -> None:
    """Keep subcommands subcommands, even while there is only one."""


app.command("train", help=train.HELP, epilog=train.EXAMPLES)(train.train)
