"""FF and BP as programs: what a tiling costs, and its instructions."""

from collections.abc import Iterator
from dataclasses import dataclass

from sparsat.dataflow.array_work import Work
from sparsat.dataflow.layout import HALF
from sparsat.dataflow.nests import Spread
from sparsat.dataflow.operands import Operands
from sparsat.dataflow.runs import Level, store_levels
from sparsat.dataflow.spread_operands import a_fields, b_fields, load_a, load_b
from sparsat.dataflow.tiling import Run, Tiling
from sparsat.hw.isa.instructions import Advance, Exec, Instruction, Store


@dataclass(frozen=True)
class SpreadPlan(Tiling):
    """One way to run the phases of an operation that share B."""

    # -- how long --------------------------------------------------------------------------------

    def works(self) -> Iterator[Work]:
        """What the array does."""
        for width, blocks in self.widths():
            for nest in self.phases:
                for run in self.runs(nest):
                    yield self._work(nest, run, width, blocks)

    def _work(self, nest: Spread, run: Run, width: int, blocks: int) -> Work:
        chunks = self.chunks(nest, run)
        times, chunks = (blocks, chunks) if self.parts == 1 else (blocks * chunks, 1)
        return Work(
            times=times,
            chunks=chunks,
            parts=self.parts,
            fresh=1,
            p=self.pixels(nest, run),
            taps=self.taps(nest),
            k=self.cut or nest.channels,
            products=nest.products,
            q=self.used(nest, width),
        )

    def array_cycles(self) -> int:
        """Cycles of the array for everything."""
        return self.mapping.array_cycles(self.config, self.works())

    def lines(self) -> tuple[int, int, int]:
        """Lines moved in all, before the first chunk can start, and after the last."""
        total = first = last = 0
        for width, blocks in self.widths():
            b = self.b_lines(width)
            total += blocks * b if self.parts == 1 else 0
            for nest in self.phases:
                for run in self.runs(nest):
                    a = self.a_lines(nest, run)
                    first = first or a + b
                    stored = self.pixels(nest, run) * nest.products * width
                    last = stored * self.config.cols * HALF // self.config.line_bytes
                    loaded = a * (self.parts if self.cut else 1)
                    loaded += b * self.parts if self.parts > 1 else 0
                    total += blocks * self.chunks(nest, run) * (loaded + last)
        return total, first, last

    # -- instructions ----------------------------------------------------------------------------

    def emit(self, at: Operands) -> list[Instruction]:
        """All of them, without op numbers, waits and signals."""
        found: list[Instruction] = []
        for first in range(0, self.column_blocks, self.width):
            width = min(self.width, self.column_blocks - first)
            found += self._block(at, first, width)
        return found

    def _block(self, at: Operands, first: int, width: int) -> list[Instruction]:
        """All slabs with one block of columns, which without parts is loaded once."""
        jobs = [
            (nest, run, image)
            for nest in self.phases
            for run in self.runs(nest)
            for image in range(nest.images if run.by_rows and self.parts > 1 else 1)
        ]
        found: list[Instruction] = []
        shared = self.parts == 1
        for index, (nest, run, image) in enumerate(jobs):
            found.append(load_a(self, at, nest, run, image))
            if not shared or index == 0:
                found.append(load_b(self, at, run, first, width))
            held = {"b_held": int(index > 0), "b_keep": int(index + 1 < len(jobs))}
            found.append(self._exec(nest, run, width, held if shared else {}))
            found.append(self._store(at, nest, run, image, first, width))
        return found

    def _exec(self, nest: Spread, run: Run, width: int, held: dict[str, int]) -> Exec:
        mapping, config = self.mapping, self.config
        pixels, groups, used = self.pixels(nest, run), self.groups(nest), self.used(nest, width)
        os, chained = mapping.os, self.parts > 1
        slab = Advance.OUTER if chained else Advance.EVERY
        return Exec(
            **mapping.fields(self.least_period(nest)),
            **self.loops(nest, run),
            a_advance=Advance.EVERY if self.cut else slab,
            b_advance=Advance.EVERY if chained else Advance.ONCE,
            c_advance=slab,
            chain=int(chained),
            **held,
            p=pixels,
            tiles_p=-(-pixels // (config.rows * mapping.ir)) if os else 1,
            q_blocks=used,
            q0_count=used,
            tiles_q=-(-used // mapping.is_),
            groups=groups if os else -(-pixels // mapping.ir),
            passes=1 if os else -(-groups // config.rows),
            products0=nest.products,
            **a_fields(self, nest, run),
            **b_fields(self, nest),
            c_p=nest.products * width,
            c_q=1,
            c_product0=width,
        )

    def _store(
        self, at: Operands, nest: Spread, run: Run, image: int, first: int, width: int
    ) -> Store:
        out, y, x = nest.out, nest.y, nest.x
        row_bytes, pixel = out.row_values * HALF, out.pitch * HALF
        image_bytes, step = out.image_values * HALF, y.out_step * row_bytes
        pitch = width * nest.products
        levels = [
            Level(pitch, 1, self.config.cols * HALF),
            Level(x.count, pitch, x.out_step * pixel),
            Level(run.rows, x.count * pitch, step),
            Level(run.images, run.rows * x.count * pitch, image_bytes),
        ]
        start = y.phase * row_bytes + x.phase * pixel
        start += (first * self.config.cols + nest.product * nest.columns) * HALF
        start += image * image_bytes + run.first * (step if run.by_rows else image_bytes)
        return Store(
            address=at.out + start,
            outer=nest.images if run.by_rows and self.parts == 1 else 1,
            outer_stride=image_bytes,
            inner=run.count,
            inner_stride=run.rows * step if run.by_rows else run.images * image_bytes,
            **store_levels(levels),
        )
