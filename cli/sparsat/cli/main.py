"""The `sparsat` command. Each subcommand lives in a module of its own and imports lazily."""

import typer

from sparsat.cli import (
    card,
    compare,
    explore,
    gemm,
    generate,
    simulate,
    train,
    train_on_machine,
    verify,
)

app = typer.Typer(
    name="sparsat",
    help="Hardware, algorithm and dataflow co-design kit for N:M sparse DNN training.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _flow(text: str) -> str:
    """`text` with each paragraph on one line, so that the terminal's width breaks it."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


for module, function in (
    (generate, generate.generate),
    (gemm, gemm.gemm),
    (train, train.train),
    (train_on_machine, train_on_machine.train_on_machine),
    (simulate, simulate.simulate),
    (compare, compare.compare),
    (explore, explore.explore),
    (verify, verify.verify),
    (card, card.card),
):
    name = function.__name__.replace("_", "-")
    app.command(name, help=_flow(module.HELP), epilog=module.EXAMPLES)(function)
