"""`sparsat gemm`: one GEMM on the generated array, in Verilator."""

from typing import Annotated

import typer

from sparsat.cli.errors import one_line_errors

HELP = """Run C = A·B on the array's Verilog and check every bit and the cycle count.

A is p×k; B is k×q, pruned to the pattern along k. The interleave ir·is says how many rows of A and
columns of B a cell works on at a time; p and q are padded to whole tiles. The first run of a
configuration compiles its simulation, which takes up to a minute and is cached.
"""

EXAMPLES = """Examples:

sparsat gemm --config small --pattern 2:8

sparsat gemm --config tiny --pattern dense --dataflow ws --ir 4 --is 2 --k 32
"""


def gemm(
    config: Annotated[str, typer.Option(help="tiny or small; larger arrays are slow.")] = "small",
    pattern: Annotated[str, typer.Option(help="N:M, N kept of every M, or dense.")] = "2:8",
    dataflow: Annotated[str, typer.Option(help="os or ws: what stays in the cells.")] = "os",
    p: Annotated[int, typer.Option(help="Rows of A.")] = 128,
    q: Annotated[int, typer.Option(help="Columns of B.")] = 128,
    k: Annotated[int, typer.Option(help="Reduction length.")] = 1024,
    ir: Annotated[int | None, typer.Option(help="Rows of A per cell (default: deepest).")] = None,
    is_: Annotated[int | None, typer.Option("--is", help="Columns of B per cell.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of the random operands.")] = 0,
) -> None:
    """Check the request, run it, print what it showed."""
    with one_line_errors():
        from rich.console import Console

        from sparsat.dataflow.array_gemm import ArrayGemm
        from sparsat.hw.array_op import Dataflow, deepest_interleave
        from sparsat.hw.config import preset

        if dataflow.upper() not in Dataflow.__members__:
            raise ValueError(f"dataflow is {dataflow!r}, it must be os or ws")
        n, m = _pattern(pattern, k)
        chosen = preset(config)
        if ir is None or is_ is None:
            ir, is_ = deepest_interleave(chosen, n, m, ir, is_)
        mapping = ArrayGemm(
            config=chosen,
            p=p,
            q=q,
            k=k,
            dataflow=Dataflow[dataflow.upper()],
            n=n,
            m=m,
            ir=ir,
            is_=is_,
        )
        from sparsat.dataflow.array_run import run_gemm

        console = Console(highlight=False)
        with console.status(f"Running on {chosen.rows}×{chosen.cols} cells in Verilator"):
            result = run_gemm(mapping, seed)
        same = result.mismatches == 0
        in_time = result.cycles == result.expected_cycles
        console.print(f"array        {chosen.name}, {chosen.rows}×{chosen.cols} cells")
        console.print(f"GEMM         [{p}, {k}] · [{k}, {q}], {pattern}")
        console.print(f"schedule     {dataflow}, ir·is {ir}·{is_}")
        console.print(f"MACs         {result.macs}")
        console.print(
            f"cycles       {result.cycles}, "
            + ("as predicted" if in_time else f"predicted {result.expected_cycles}")
        )
        console.print(
            f"simulation   {result.cycles_per_second / 1000:.0f} thousand cycles per CPU second"
        )
        console.print(f"utilisation  {result.utilization:.2%}")
        console.print(
            f"outputs      {result.outputs}, "
            + ("bit-exact" if same else f"{result.mismatches} differ from the golden model")
        )
        if not (same and in_time):
            raise typer.Exit(1)


def _pattern(text: str, k: int) -> tuple[int, int]:
    """N and M; dense runs in groups of 8, or of 4 where k needs it."""
    from sparsat.algo.patterns import NMPattern

    if text == "dense":
        return (8, 8) if k % 8 == 0 else (4, 4)
    parsed = NMPattern.parse(text)
    return parsed.n_keep, parsed.m
