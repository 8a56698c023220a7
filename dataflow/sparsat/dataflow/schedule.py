"""From a captured step to a program, under a named policy."""

from dataclasses import dataclass, replace

from sparsat.dataflow.addresses import Addresses
from sparsat.dataflow.choose import Plan, choose
from sparsat.dataflow.ir import Conv, MatMul, Op, Step, Update, Vector
from sparsat.dataflow.mapping import BOTH, Mapping, Policy
from sparsat.dataflow.operands import Operands
from sparsat.dataflow.order import Ordering
from sparsat.dataflow.reduce import ReducePlan
from sparsat.dataflow.sites import Site, sites
from sparsat.hw.array_op import Dataflow
from sparsat.hw.config import SATConfig
from sparsat.hw.isa import instructions as isa

Pattern = tuple[int, int]


@dataclass(frozen=True)
class Schedule:
    """A named policy: what the mapping may choose, and when weights are pruned."""

    name: str
    policy: Policy
    pregenerate: bool = True


SCHEDULES = {
    schedule.name: schedule
    for schedule in (
        Schedule("optimal", Policy(BOTH, "any")),
        Schedule("paper", Policy(BOTH, "fixed")),
        Schedule("os", Policy((Dataflow.OS,), "any")),
        Schedule("ws", Policy((Dataflow.WS,), "any")),
        Schedule("no-interleave", Policy(BOTH, "none")),
        Schedule("online-sore", Policy(BOTH, "any"), pregenerate=False),
    )
}


@dataclass(frozen=True)
class Planned:
    """How one operation runs. `waits`: for all results of the operations before it."""

    site: Site
    at: Operands
    plan: Plan | None = None
    waits: bool = True

    @property
    def op(self) -> Op:
        return self.site.op

    @property
    def pattern(self) -> Pattern | None:
        return self.site.pattern

    @property
    def mapping(self) -> Mapping | None:
        return self.plan.mapping if self.plan else None


@dataclass(frozen=True)
class Scheduled:
    """The program of a step, the plan of each of its operations, and the memory it takes.

    `places` has the address of every tensor but weights and their gradients; many share it with
    others that live before or after them.
    """

    program: list[isa.Instruction]
    plans: list[Planned]
    memory_bytes: int
    places: dict[str, int]


def schedule_step(
    config: SATConfig,
    step: Step,
    schedule: Schedule,
    pattern: Pattern | None,
    *,
    parity: int = 0,
) -> Scheduled:
    """Schedule every operation of `step`; `pattern` is (n, m), None for dense training.

    Parameters with all that belongs to them lie in memory twice. A program with `parity` 0 reads
    the first set and writes the second one, with 1 the other way round; nothing else differs.
    ValueError where the pattern or a layer does not fit the machine.
    """
    if pattern and pattern[1] > config.m_max:
        raise ValueError(
            f"pattern {pattern[0]}:{pattern[1]} does not fit config {config.name}: "
            f"its groups hold at most {config.m_max} values"
        )
    builder = _Builder(config, step, schedule, pattern, parity)
    for site in builder.sites:
        try:
            builder.add(site)
        except ValueError as error:
            raise ValueError(f"{site.op.name} does not fit config {config.name}: {error}") from None
    return builder.result()


class _Builder:
    def __init__(
        self,
        config: SATConfig,
        step: Step,
        schedule: Schedule,
        pattern: Pattern | None,
        parity: int,
    ) -> None:
        self.config, self.schedule = config, schedule
        self.sites = sites(config, step, pattern)
        self.addresses = Addresses(
            config, step, self.sites, pregenerated=schedule.pregenerate, parity=parity
        )
        self.program: list[isa.Instruction] = []
        self.plans: list[Planned] = []
        self.ordering = Ordering(self.program)
        self.turned: set[str] = set()  # layers whose gradient comes out transposed

    def result(self) -> Scheduled:
        self.program.append(isa.Halt())
        addresses = self.addresses
        return Scheduled(self.program, self.plans, addresses.end, addresses.places)

    def add(self, site: Site) -> None:
        at = self.addresses.of(site)
        number = len(self.plans)
        waits, plan = True, None
        match site.op.work:
            case Vector() as work:
                read, write = self._lines(work.bytes_read), self._lines(work.bytes_written)
                self.ordering.vector(isa.Vector(op=number, read=read, write=write), site.op)
            case Update():
                turned = site.op.layer in self.turned
                found = replace(self.addresses.update(site, turned=turned), op=number)
                self.ordering.update(found)
                waits = False
            case Conv() | MatMul():
                plan = self._plan(site)
                if isinstance(plan, ReducePlan) and plan.nest.turned:
                    self.turned.add(site.op.layer)
                instructions = [replace(each, op=number) for each in plan.emit(at)]
                waits = self.ordering.gemm(instructions, site.op, b_is_weight=site.weighted)
        self.plans.append(Planned(site, at, plan, waits))

    def _plan(self, site: Site) -> Plan:
        pattern = site.pattern if site.op.stage != "WU" else None
        prune = pattern is not None and not self.schedule.pregenerate
        return choose(self.config, self.schedule.policy, site.nests, pattern, prune)

    def _lines(self, bytes_: int) -> int:
        return -(-bytes_ // self.config.line_bytes)
