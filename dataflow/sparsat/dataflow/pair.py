"""Tiling of products of two activations, attention's, in chunks of whole images (heads).

Where not even one image fits, chunks take some of the rows that A has in memory: of p, and then B
stays for all of an image's chunks; or of k where A is turned, and then B is cut alike and the sums
stay until the image is done.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from sparsat.dataflow.array_work import Work
from sparsat.dataflow.layout import HALF, Activation
from sparsat.dataflow.mapping import Mapping
from sparsat.dataflow.nests import Pair
from sparsat.dataflow.operands import Operands
from sparsat.dataflow.runs import Level, store_levels
from sparsat.hw.config import SATConfig
from sparsat.hw.isa.instructions import Advance, Exec, Instruction, LoadA, LoadB, Mode, Store


@dataclass(frozen=True)
class Run:
    """`outer` × `inner` chunks of `images` images from image `first`, or of `rows` rows of A from
    row `first` of every image."""

    outer: int
    inner: int
    images: int
    rows: int
    first: int


@dataclass(frozen=True)
class PairPlan:
    """One way to run it: `images` whole images per chunk, or `rows` rows of A of one."""

    nest: Pair
    mapping: Mapping
    images: int
    rows: int | None = None

    @cached_property
    def config(self) -> SATConfig:
        return self.nest.a.config

    @property
    def chained(self) -> bool:
        """Chunks of an image go on with the same sums."""
        return self.rows is not None and self.nest.a_turned

    # -- chunks ----------------------------------------------------------------------------------

    @cached_property
    def runs(self) -> list[Run]:
        images, tokens = self.nest.images, self.nest.a.width
        if self.rows is None:
            whole, rest = divmod(images, self.images)
            runs = [Run(1, whole, self.images, tokens, 0)]
            return runs + ([Run(1, 1, rest, tokens, whole * self.images)] if rest else [])
        if self.chained:
            return [Run(images, -(-tokens // self.rows), 1, self.rows, 0)]
        whole, rest = divmod(tokens, self.rows)
        runs = [Run(images, whole, 1, self.rows, 0)]
        return runs + ([Run(images, 1, 1, rest, whole * self.rows)] if rest else [])

    def _p(self, run: Run) -> int:
        """Rows of C of one image in a chunk."""
        return self.nest.p if self.nest.a_turned else run.rows

    def _k(self, run: Run) -> int:
        return run.rows if self.nest.a_turned else self.nest.k

    def _groups(self, run: Run) -> int:
        return -(-self._k(run) // self.mapping.m)

    def _passes(self, run: Run) -> int:
        return 1 if self.mapping.os else -(-self._groups(run) // self.config.rows)

    def _tiles_p(self, run: Run) -> int:
        return -(-self._p(run) // (self.config.rows * self.mapping.ir)) if self.mapping.os else 1

    @cached_property
    def _columns(self) -> int:
        """Blocks of columns that hold results."""
        return -(-self.nest.q // self.config.cols)

    @cached_property
    def _tiles_q(self) -> int:
        return -(-self._columns // self.mapping.is_)

    @cached_property
    def _least_period(self) -> int:
        words = -(-self.nest.k // self.mapping.m)
        return 0 if self.nest.a_turned else self.mapping.least_period(words)

    # -- how long --------------------------------------------------------------------------------

    def works(self) -> Iterator[Work]:
        """What the array does."""
        for run in self.runs:
            chunks = (run.outer, 1, run.inner) if self.chained else (1, run.outer * run.inner, 1)
            yield Work(
                *chunks,
                fresh=1,
                p=self._p(run),
                taps=1,
                k=self._k(run),
                products=run.images,
                q=self._columns,
            )

    def array_cycles(self) -> int:
        """Cycles of the array for everything."""
        return self.mapping.array_cycles(self.config, self.works())

    def lines(self) -> tuple[int, int, int]:
        """Lines moved in all, before the first chunk can start, and after the last."""
        total = first = last = 0
        for run in self.runs:
            loads = self._load_a(run, 0), self._load_b(run, 0)
            total += sum(each.outer * each.inner * _lines(each) for each in loads)
            first = first or sum(map(_lines, loads))
            last = run.images * self._p(run) * self.nest.out.pitch * HALF // self.config.line_bytes
            total += last * run.outer * (1 if self.chained else run.inner)
        return total, first, last

    # -- instructions ----------------------------------------------------------------------------

    def emit(self, at: Operands) -> list[Instruction]:
        """All of them, without op numbers, waits and signals."""
        return [
            instruction
            for run in self.runs
            for instruction in (
                self._load_a(run, at.a),
                self._load_b(run, at.b),
                self._exec(run),
                self._store(run, at.out),
            )
        ]

    def _load_a(self, run: Run, address: int) -> LoadA:
        return LoadA(**self._load(run, self.nest.a, address, cut=True))

    def _load_b(self, run: Run, address: int) -> LoadB:
        nest = self.nest
        fields = self._load(run, nest.b, address, cut=self.chained)
        if not nest.b_turned:
            return LoadB(**fields)
        segments = {
            "segments": run.images,
            "segment_stride": nest.b.image_values * HALF,
            "lines": fields["lines"] // run.images,
        }
        turned = {"mode": Mode.TRANSPOSE, "tokens": nest.q, "channels": nest.b.pitch}
        return LoadB(**turned, **(fields | segments))

    def _load(self, run: Run, tensor: Activation, address: int, *, cut: bool) -> dict[str, int]:
        """Whole images; or, of every image, the rows of each chunk (`cut`) or all rows once."""
        image, row = tensor.image_values * HALF, tensor.pitch * HALF
        lines = tensor.lines(tensor.image_values) * run.images
        if self.rows is None:
            stride = run.images * image
            address += run.first * image
            return {"address": address, "inner": run.inner, "inner_stride": stride, "lines": lines}
        loops = {"outer": run.outer, "outer_stride": image}
        if not cut:
            return {"address": address, "lines": lines, **loops}
        return {
            "address": address + run.first * row,
            "inner": run.inner,
            "inner_stride": run.rows * row,
            "lines": -(-run.rows * row // self.config.line_bytes),
            **loops,
        }

    def _exec(self, run: Run) -> Exec:
        mapping, chained = self.mapping, self.chained
        p, groups = self._p(run), self._groups(run)
        once_for_image = Advance.OUTER if self.rows is not None else Advance.EVERY
        width = self.nest.out.pitch // self.config.cols
        return Exec(
            **mapping.fields(self._least_period),
            outer=run.outer,
            inner=run.inner,
            a_advance=Advance.EVERY,
            b_advance=Advance.EVERY if chained else once_for_image,
            c_advance=Advance.OUTER if chained else Advance.EVERY,
            chain=int(chained),
            p=p,
            tiles_p=self._tiles_p(run),
            q_blocks=self._columns,
            tiles_q=self._tiles_q,
            groups=groups if mapping.os else -(-p // mapping.ir),
            passes=self._passes(run),
            products0=run.images,
            q0_count=self._columns,
            c_p=width,
            c_q=1,
            c_product0=p * width,
            **(self._by_values(run) if self.nest.a_turned else self._by_words(run)),
        )

    def _by_words(self, run: Run) -> dict[str, int]:
        """Where A's and B's words along k lie."""
        nest, m = self.nest, self.mapping.m
        fields = {
            "a_product0": nest.a.image_values,
            "r0_count": run.rows,
            "r0_a": nest.a.pitch,
            "k": self._groups(run),
            "k0_count": self._groups(run),
            "k0_a": m,
            "b_last": nest.k % m,
        }
        if nest.b_turned:
            row = nest.b.pitch
            blocks = {"b_product0": nest.b_rows, "b_q0": row}
            return fields | {"b_k0": m, "b_n": 1, **blocks}
        row = nest.b.pitch // self.config.cols
        blocks = {"b_product0": nest.b_rows, "b_q0": 1}
        return fields | {"b_k0": m * row, "b_n": row, **blocks}

    def _by_values(self, run: Run) -> dict[str, int]:
        """Where single values of k lie. The last chunk of an image may go beyond its end: what lies
        there counts as padding."""
        nest = self.nest
        row = nest.b.pitch // self.config.cols
        down = run.rows if self.chained else 0
        return {
            "a_product0": nest.a.image_values,
            "r0_count": nest.a.pitch // self.mapping.ir,
            "r0_a": self.mapping.ir,
            "k": run.rows,
            "k1_count": run.rows,
            "k1_a": nest.a.pitch,
            "k1_y": 1,
            "y_inner": down,
            "height": nest.k,
            "b_product0": nest.b_rows,
            "b_k1": row,
            "b_k1_y": 1,
            "b_y_inner": down,
            "b_height": nest.k,
            "b_q0": 1,
        }

    def _store(self, run: Run, address: int) -> Store:
        out, cols = self.nest.out, self.config.cols
        rows, image, row = self._p(run) * out.pitch // cols, out.image_values * HALF, cols * HALF
        loops = {"outer": run.outer, "outer_stride": image}
        if self.rows is None:
            address += run.first * image
            loops = {"inner": run.inner, "inner_stride": run.images * image}
        elif not self.chained:
            address += run.first * out.pitch * HALF
            loops |= {"inner": run.inner, "inner_stride": run.rows * out.pitch * HALF}
        levels = [Level(rows, 1, row), Level(run.images, rows, image)]
        return Store(address=address, **loops, **store_levels(levels))


def _lines(load: LoadA) -> int:
    """Of a chunk."""
    return load.segments * load.lines
