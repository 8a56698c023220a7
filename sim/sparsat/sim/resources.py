"""What machines cost, how fast they could run, what fits a device: `make resources`.

Prints docs/resources.md.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from sparsat.dataflow.schedule import SCHEDULES
from sparsat.dataflow.step_cache import captured_step
from sparsat.hw import measure
from sparsat.hw.blocks import BLOCKS
from sparsat.hw.config import PRESETS, SATConfig, preset
from sparsat.hw.device import DEVICES, LIMIT, Device
from sparsat.hw.floorplan import fit
from sparsat.hw.memories import scratchpads
from sparsat.hw.resource_model import BETWEEN, CLOCK_MARGIN, BlockCost, cost, samples_of
from sparsat.sim.boards import board
from sparsat.sim.energy import watts
from sparsat.sim.markdown import table
from sparsat.sim.simulate import simulate

CARD = "vcu1525"
MODEL, BATCH, PATTERN = "resnet18", 512, (2, 8)
PAPER_HZ = 200e6
"""Of the array that sparse training was published with: 32×32 on this card."""

Rows = Iterable[tuple[str, ...]]


# -- blocks ----------------------------------------------------------------------------------------


def block_rows(config: SATConfig) -> Rows:
    """Each block, `*` where its Verilog is no longer what was measured."""
    found = cost(config)
    for each in found.blocks:
        mark = "" if each.name == BETWEEN or _current(each.name) else " *"
        yield (each.name + mark, str(each.count), *_logic(each.each), *_speed(each))
    yield ("all", "1", *_logic(found.total), *_speed(found.slowest))


def _logic(amount: np.ndarray) -> tuple[str, ...]:
    """LUT, FF, DSP, block RAMs of 36 Kb that are no scratchpad's."""
    lut, ff, dsp, bram18, _ = amount
    return f"{lut:.0f}", f"{ff:.0f}", f"{dsp:.0f}", f"{bram18 / 2:g}"


def pad_rows(config: SATConfig) -> Rows:
    """The scratchpads, each in block RAM or in UltraRAM, and where the device has them."""
    chosen = fit(cost(config), DEVICES[CARD]).memories
    for pad in scratchpads(config):
        shape = f"{pad.depth} × {pad.width}"
        brams, urams = f"{pad.bram18 / 2:g}", str(pad.uram)
        kind = {"uram": "UltraRAM", "bram18": "block RAM"}[chosen[pad.name]]
        yield pad.name, str(pad.count), shape, brams, urams, kind


def _speed(block: BlockCost) -> tuple[str, str]:
    return f"{block.path_ps / 1000:.2f}", f"{1e6 / block.path_ps:.0f}"


def _current(name: str) -> bool:
    """Whether the block at the reference is still what was measured."""
    (reference,) = (sample for sample in samples_of(name) if not sample.field)
    block = next(block for block in BLOCKS if block.name == name)
    verilog, _ = measure.verilog_of(name, block.samples()[0][1])
    return measure.digest_of(verilog) == reference.digest


def path_rows(config: SATConfig, count: int = 8) -> Rows:
    """The slowest paths by name, as they were at the reference."""
    slowest = sorted(cost(config).blocks, key=lambda block: -block.path_ps)[:count]
    for each in slowest:
        reference = _reference(each.name)
        ns, mhz = _speed(each)
        yield each.name, f"`{reference.start}`", f"`{reference.end}`", ns, mhz


def _reference(name: str) -> measure.Sample:
    """A block where nothing is changed; or the whole design."""
    if name == BETWEEN:
        return max(samples_of("sat"), key=lambda sample: sample.path_ps)
    (found,) = (sample for sample in samples_of(name) if not sample.field)
    return found


# -- the model against Yosys -----------------------------------------------------------------------


def check_rows() -> Rows:
    """Blocks and whole designs that the model was not fitted to."""
    mixed = {block.name: block.each for block in cost(measure.MIXED).blocks}
    for block in BLOCKS:
        for sample in samples_of(block.name):
            if sample.field == "mixed":
                yield _check(f"{block.name}, many fields changed", mixed[block.name], sample)
    for sample in samples_of("sat"):
        config = measure.DESIGNS[sample.value]
        yield _check(f"whole design `{config.name}`", cost(config).total, sample)


def _check(name: str, model: np.ndarray, sample: measure.Sample) -> tuple[str, ...]:
    pairs = ((model[0], sample.resources.lut), (model[1], sample.resources.ff))
    cells = [
        text
        for ours, yosys in pairs
        for text in (f"{ours:.0f}", str(yosys), f"{ours / yosys - 1:+.1%}")
    ]
    return (name, *cells, f"{model[2]:.0f}", str(sample.resources.dsp))


# -- what fits -------------------------------------------------------------------------------------


def fit_rows(device: Device) -> Rows:
    for config in PRESETS.values():
        found = cost(config)
        placed = fit(found, device)
        used = placed.used.sum(axis=0) if placed.fits else found.total
        shares = [f"{share:.0%}" for share in used / device.available]
        where = " + ".join(map(str, placed.rows)) if placed.fits else placed.reason
        homes = ", ".join(f"{place} {die}" for place, die in placed.homes.items())
        clock = f"{found.clock_hz / 1e6:.0f}"
        yield (f"`{config.name}`, {config.rows}×{config.cols}", *shares, where, homes, clock)


def largest(config: SATConfig, device: Device) -> SATConfig:
    """The machine with the most cells that fits, of those that differ in rows and columns."""
    found = [
        config.with_(rows=rows, cols=cols, **_lanes(config, cols))
        for cols in (8, 16, 32, 64)
        if cols * 4 <= config.line_bytes
        for rows in range(4, 129, 4)
    ]
    fitting = (each for each in found if fit(cost(each), device).fits)
    return max(fitting, key=lambda each: (each.cells, each.cols))


def _lanes(config: SATConfig, cols: int) -> dict[str, int]:
    """No more than columns."""
    return {name: min(getattr(config, name), cols) for name in ("sore_lanes", "wuve_lanes")}


def throughput_rows() -> Rows:
    """A training step on the card's arrays, with and without sparse weights."""
    place, step = board(CARD), captured_step(MODEL, BATCH)
    estimated = cost(preset("vcu1525_max")).clock_hz
    for name, clock_hz in (
        ("vcu1525", PAPER_HZ),
        ("vcu1525_max", PAPER_HZ),
        ("vcu1525_max", estimated),
    ):
        config = preset(name).with_(clock_hz=clock_hz)
        found = simulate(step, replace(place, config=config), SCHEDULES["optimal"], PATTERN)
        dense, sparse = found.dense.totals(), found.sparse.totals()
        power = watts(sparse["energy_joules"], sparse["dram_bytes"], sparse["seconds"])
        yield (
            f"`{name}`, {config.rows}×{config.cols}, {clock_hz / 1e6:.0f} MHz",
            f"{dense['seconds'] * 1e3:.0f}",
            f"{sparse['seconds'] * 1e3:.0f}",
            f"{found.speedup:.2f}",
            f"{dense['gflops_effective']:.0f}",
            f"{sparse['gflops_effective']:.0f}",
            f"{sparse['gflops_dense_equivalent']:.0f}",
            f"{power:.0f}",
        )


LOGIC_HEAD = ("LUT", "FF", "DSP", "BRAM")


def page() -> str:
    device = DEVICES[CARD]
    return PAGE.format(
        tool=measure.tool(),
        blocks=table(("block", "count", *LOGIC_HEAD, "ns", "MHz"), block_rows(preset(CARD))),
        pads=table(PADS_HEAD, pad_rows(preset(CARD))),
        margin=CLOCK_MARGIN,
        paths=table(("block", "from", "to", "ns", "MHz"), path_rows(preset(CARD))),
        checks=table(
            (
                *("", "LUT, model", "Yosys", "error", "FF, model", "Yosys", "error"),
                *("DSP, model", "Yosys"),
            ),
            check_rows(),
        ),
        device=device.name,
        limit=f"{LIMIT:.0%}",
        fits=table(FITS_HEAD, fit_rows(device)),
        largest=largest(preset("vcu1525"), device),
        model=MODEL,
        batch=BATCH,
        throughput=table(THROUGHPUT_HEAD, throughput_rows()),
    )


PADS_HEAD = ("scratchpad", "memories", "words × bits", "as BRAM", "as URAM", "on the card")
FITS_HEAD = (
    *("machine", *LOGIC_HEAD, "URAM", "rows on dies 0 + 1 + 2"),
    *("die of the rest, B, C", "MHz"),
)
THROUGHPUT_HEAD = (
    *("machine", "dense, ms", "2:8, ms", "speed-up"),
    *("dense, GFLOPS", "2:8, effective GFLOPS", "2:8, as dense GFLOPS", "W"),
)

PAGE = """\
# Resources, timing and power

Made by `make resources` from what `make measure` found. All of it is estimated: there is no place
and route for this device here. Yosys ({tool}, `synth_xilinx -family xcup`) neither packs two small
functions into one LUT nor moves registers into DSP slices, so LUT and FF are mostly too high.
Delays are those of `sparsat.hw.tools.delays` (UltraScale+ -2, 0.30 ns per net); distance and
fan-out are not modelled.

## The model
`sparsat.hw.blocks` lists the blocks, how many of each a machine has, and what its size depends on.
A block is mapped at a reference machine and with one thing changed at a time; for other machines
the differences are added up and interpolated (`sparsat.hw.resource_model`). A new block is one line
there, and a run of `make measure`. What is repeated in a block is a block of its own.

Machine `vcu1525`; block RAMs of 36 Kb. `*`: the block has changed since it was measured.

{blocks}
Scratchpads are counted by their shape, in block RAM or UltraRAM:

{pads}
The slowest paths, from register or port to register or port; those from block to block are of the
design mapped whole:

{paths}
A machine's clock is taken to be that of its slowest block with a margin of {margin} for what the
estimate does not know.

## The model against Yosys
Blocks with many fields changed at once, and whole designs; the model has seen none of them.

{checks}
## What fits
Device {device}, dies (SLRs) with what the shell with PCIe and four memory controllers leaves of
them (UG1393). At most {limit} of any die may be used. Rows of cells, with their feeders and copies
of A, go in bands over the dies; the sides of B and C and the rest are on one die each
(`sparsat.hw.floorplan`). Shares are of what the shell leaves.

{fits}
The largest array that fits, all else as in `vcu1525`, is {largest.rows}×{largest.cols}.

## What it is worth
A training step of {model}, batch {batch}, simulated: 2:8 weights by BDWP beside dense. 32×32 at
200 MHz is the array that N:M sparse training was published with on this card. The last row is at
the clock estimated above.

{throughput}
W is dynamic power: multiplications, additions, scratchpad and memory accesses of the step, by the
table of 45 nm energies in `sparsat.sim.energy`, the logic's times 14, the average ratio of FPGAs to
standard cells (Kuon and Rose, IEEE TCAD 2007), divided by the step's time. Static power, the clock
tree and the shell are not in it, nor is the gain of 16 nm.
"""

if __name__ == "__main__":
    measure.ignore_unused()
    print(page(), end="")
