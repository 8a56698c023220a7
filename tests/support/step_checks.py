"""What must hold of every captured step."""

from sparsat.dataflow.ir import Conv, Op, Step, Update, Vector


def check(step: Step) -> None:
    """Names are unique, tensors are made before they are read, gradients match their layers."""
    assert len({op.name for op in step.ops}) == len(step.ops)
    assert len(step.tensor) == len(step.tensors)
    _check_order(step)
    _check_gemms(step)
    assert Step.from_json(step.to_json()) == step


def _check_order(step: Step) -> None:
    made_by = {}
    for op in step.ops:
        assert op.writes, op.name
        for name in op.writes:
            assert name in step.tensor
            if not isinstance(op.work, Update):
                assert made_by.setdefault(name, op.name) == op.name
    ready = set(step.tensor) - set(made_by)
    for op in step.ops:
        assert ready.issuperset(op.reads), f"{op.name} reads what is not there yet"
        ready.update(op.writes)


def _check_gemms(step: Step) -> None:
    for layer in step.layers:
        count = {stage: len(gemms(step, layer.name, stage)) for stage in ("FF", "BP", "WU")}
        assert count["FF"] == count["WU"], layer
        assert count["BP"] == (0 if layer.first else count["FF"]), layer
        for op in gemms(step, layer.name, "FF", "BP", "WU"):
            assert op.macs > 0
            assert layer.weight in op.reads or op.stage == "WU"


def gemms(step: Step, layer: str, *stages: str) -> list[Op]:
    """The layer's operations that use its weights, in any of `stages`."""
    return [
        op
        for op in step.ops
        if op.layer == layer and op.stage in stages and isinstance(op.work, Conv)
    ]


def kinds(step: Step) -> list[str]:
    """The kinds of the vector operations, in order."""
    return [op.work.kind for op in step.ops if isinstance(op.work, Vector)]
