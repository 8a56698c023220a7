"""The `sparsat` command. Each subcommand lives in a module of its own and imports lazily."""

import typer

from sparsat.cli import compare, gemm, generate, simulate, train

app = typer.Typer(
    name="sparsat",
    help="Hardware, algorithm and dataflow co-design kit for N:M sparse DNN training.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


app.command("generate", help=generate.HELP, epilog=generate.EXAMPLES)(generate.generate)
app.command("gemm", help=gemm.HELP, epilog=gemm.EXAMPLES)(gemm.gemm)
app.command("train", help=train.HELP, epilog=train.EXAMPLES)(train.train)
app.command("simulate", help=simulate.HELP, epilog=simulate.EXAMPLES)(simulate.simulate)
app.command("compare", help=compare.HELP, epilog=compare.EXAMPLES)(compare.compare)
