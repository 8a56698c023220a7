"""One training run: from a `RunConfig` to a folder with log, checkpoint and result.

Files in the folder: `config.json` (what the run is), `log.csv` and `log.json` (one row per
evaluation), `checkpoint.pt` (after every epoch), and when it is done `model.pt` (the finalised
`state_dict`) and `result.json`. All are written atomically.
"""

import io
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch

from sparsat.algo import Handle, NMConfig, NMPattern, prepare
from sparsat.algo.tasks import make_task
from sparsat.algo.tasks.base import Batch, Recipe, Task
from sparsat.algo.training import checkpoint, cost
from sparsat.algo.training.config import RunConfig
from sparsat.algo.training.errors import CheckpointError, TrainError
from sparsat.algo.training.files import write_atomic, write_json
from sparsat.algo.training.log import Log, Row
from sparsat.algo.training.optimize import Optimization
from sparsat.algo.training.plan import CALIBRATION_EXAMPLES, Plan, plan_for

CALIBRATION_EPOCH = 999_999
"""Epoch number, beyond any real one, whose batches calibrate post-training methods."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands, for whoever watches it."""

    step: int
    steps: int
    loss: float | None = None
    score: float | None = None


Watcher = Callable[[Progress], None]


def pick_device(name: str = "auto") -> torch.device:
    """The device `name`, where "auto" is the GPU if there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise TrainError("no GPU is visible to PyTorch: use --device cpu")
    return torch.device(name)


def set_up_torch(device: torch.device, threads: int) -> None:
    """Fix what bits depend on: the number of threads and, on a GPU, the choice of kernels."""
    torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True


def stored_config(folder: Path) -> dict[str, Any] | None:
    """The config of the run in `folder`, None where there is no run."""
    file = folder / "config.json"
    return json.loads(file.read_text()) if file.exists() else None


def is_finished(folder: Path) -> bool:
    return (folder / "result.json").exists()


def folder_state(config: RunConfig, root: Path) -> Literal["empty", "unfinished", "finished"]:
    """What `root` holds of the run of `config`; a run without a checkpoint counts as empty.

    Raises `TrainError` where its folder holds a run with other settings.
    """
    folder = root / config.folder
    done = is_finished(folder)
    if not (done or (folder / "checkpoint.pt").exists()):
        return "empty"
    wanted, stored = config.to_dict(), stored_config(folder) or {}
    changed = [key for key in wanted if stored.get(key) != wanted[key]]
    if changed:
        raise TrainError(
            f"{folder} holds a run with another {', '.join(changed)}:"
            " choose another --out or delete it"
        )
    return "finished" if done else "unfinished"


class Run:
    """A run of `config` in `root/config.folder`; `execute` trains or goes on training.

    `watch` is called after every step. Raises `TrainError` (or a `ValueError` of the task or
    method) with a one-line message.
    """

    def __init__(
        self,
        config: RunConfig,
        root: Path,
        device: torch.device,
        watch: Watcher = lambda progress: None,
    ) -> None:
        self.config, self.root, self.device, self.watch = config, root, device, watch
        self.folder = root / config.folder
        self.task: Task = make_task(
            config.task, Path(config.data) if config.data else None, config.model
        )
        self.plan: Plan = plan_for(config.method)
        self.recipe = _recipe(self.task.recipe, self.plan, config)
        full = config.steps or self.recipe.epochs * self.recipe.steps_per_epoch
        self.steps = round(full * self.plan.length)
        self.switch = round(self.steps * self.plan.dense_share)
        self.step, self.macs = 0, 0.0
        self.start_steps = full if self.plan.after_dense else 0
        self._seconds, self._losses = 0.0, _Mean()

    # The course of a run

    def execute(self, *, resume: bool = False) -> dict[str, Any]:
        """Train to the end and return the result; with `resume` from the last checkpoint."""
        saved = self._open(resume)
        if is_finished(self.folder):
            return json.loads((self.folder / "result.json").read_text())
        self._clock = time.process_time()
        checkpoint.seed_everything(self.config.seed)
        self._build(saved)
        while self.step < self.steps:
            self._train_epoch()
            self._save()
        return self._finish()

    def _open(self, resume: bool) -> dict[str, Any] | None:
        """Claim the folder; the saved state to go on from, None for a fresh start."""
        state = folder_state(self.config, self.root)
        if state == "empty":
            write_json(self.folder / "config.json", self.config.to_dict())
        if state != "unfinished":
            return None
        if not resume:
            raise TrainError(
                f"{self.folder} holds an unfinished run: add --resume or choose another --out"
            )
        return checkpoint.load(self.folder / "checkpoint.pt", self.device)

    def _build(self, saved: dict[str, Any] | None) -> None:
        """Make model, method, optimizer and log, or put them back as they were saved."""
        self.model = self.task.model().to(self.device)
        batch = next(self.task.batches(self.config.seed, 0))
        self.cost = cost.measure(self.model, batch[0].to(self.device))
        self.log = Log(self.folder, self._header())
        if saved is None:
            self._start()
        else:
            self._restore(saved)

    def _start(self) -> None:
        if self.plan.after_dense:
            self._load_dense()
        checkpoint.seed_everything(self.config.seed)
        self._attach(dense=self.switch > 0)
        if self.plan.calibrate:
            self._calibrate()
        self._optimize()
        if self.steps:
            self._log_row()

    def _attach(self, *, dense: bool) -> None:
        """Prepare the model for the run's method, or for its dense phase."""
        method = "dense" if dense else self.config.method
        pattern = NMPattern.parse(self.config.pattern)
        self.dense_phase = dense
        self.handle: Handle = prepare(
            self.model,
            NMConfig(
                method=method,
                n_keep=pattern.n_keep,
                m=pattern.m,
                decay=None if dense else self.config.decay,
                exclude=self.task.exclude,
                numerics=self.config.numerics,
                total_steps=max(1, self.steps),
                options={} if dense else {**self.plan.options, **self.config.options},
            ),
        )

    def _optimize(self) -> None:
        self.optimization = Optimization(
            self.handle.parameters(),
            self.recipe,
            self.steps,
            self.device,
            scaled=self.config.numerics == "sat",
        )

    def _train_epoch(self) -> None:
        """Train to the next multiple of the epoch length, evaluating on the way."""
        length = self.recipe.steps_per_epoch
        epoch, done = divmod(self.step, length)
        every = math.ceil(length / self.recipe.evals)
        batches = self.task.batches(self.config.seed, epoch + self._first_epoch)
        for batch in islice(batches, done, min(length, done + self.steps - self.step)):
            if self.dense_phase and self.step == self.switch:
                self.model = self.handle.finalize()
                self._attach(dense=False)
            self._train_step(batch)
            place = self.step % length
            if self.step < self.steps and (place % every == 0 or place == 0):
                self._log_row()

    @property
    def _first_epoch(self) -> int:
        """Post-training runs see other batches than the dense run they start from."""
        return 100_000 if self.plan.after_dense else 0

    def _train_step(self, batch: Batch) -> None:
        self.model.train()
        x, y = (part.to(self.device, non_blocking=True) for part in batch)
        loss = self.task.loss(self.model, (x, y)) + self.handle.penalty()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainError(
                f"loss is {value} at step {self.step} of {self.folder}: lower --lr"
                " (finished epochs are in its log and checkpoint)"
            )
        self.macs += self.cost.step(self.handle.stages)
        self.optimization.step(loss, self.step)
        self.handle.step()
        self.step += 1
        self._losses.add(value)
        self.watch(Progress(self.step, self.steps, value, self._last_score()))

    def _finish(self) -> dict[str, Any]:
        """Finalise, score, and write the result."""
        violations = [str(v) for v in self.handle.verify()]
        report = str(self.handle.report)
        sparse = [entry.name for entry in self.handle.report.sparse]
        self.model = self.handle.finalize()
        self._log_row()
        buffer = io.BytesIO()
        torch.save(self.model.state_dict(), buffer)
        write_atomic(self.folder / "model.pt", buffer.getvalue())
        result = {
            "config": self.config.to_dict(),
            "steps": self.steps,
            "start_steps": self.start_steps,
            "macs": self.macs,
            "dense_macs": self._dense_macs,
            "cpu_seconds": self.log.rows[-1]["cpu_seconds"],
            "metrics": self._metrics,
            "sparse_layers": sparse,
            "report": report,
            "violations": violations,
        }
        write_json(self.folder / "result.json", result)
        return result

    # Post-training methods

    def _load_dense(self) -> None:
        """Start from the dense run of the same task, seed and steps."""
        dense = replace(self.config, method="dense", decay=None, lr=None, options={})
        folder = self.root / dense.folder
        if not is_finished(folder):
            raise TrainError(
                f"method {self.config.method} starts from a trained model and {folder} holds none:"
                f" run `sparsat train {self.config.task} --method dense"
                f" --seed {self.config.seed}` with the same --out and --steps first"
            )
        if stored_config(folder) != dense.to_dict():
            raise TrainError(f"the dense run in {folder} has other settings: choose another --out")
        state = checkpoint.load(folder / "checkpoint.pt", self.device)
        self.model.load_state_dict(state["model"])
        self.macs = state["macs"]

    def _calibrate(self) -> None:
        count = math.ceil(CALIBRATION_EXAMPLES / self.recipe.batch)
        batches = self.task.batches(self.config.seed, CALIBRATION_EPOCH)
        self.model.eval()
        self.handle.calibrate([x.to(self.device) for x, _ in islice(batches, count)])
        self.macs += count * self.cost.forward()

    # Saving

    def _save(self) -> None:
        state = {
            "config": self.config.to_dict(),
            "step": self.step,
            "macs": self.macs,
            "dense_phase": self.dense_phase,
            "seconds": self._elapsed(),
            "losses": self._losses.state(),
            "rows": self.log.rows,
            "model": self.model.state_dict(),
            "handle": self.handle.state_dict(),
            "optimization": self.optimization.state_dict(),
            "random": checkpoint.random_state(),
        }
        checkpoint.save(self.folder / "checkpoint.pt", state)

    def _restore(self, saved: dict[str, Any]) -> None:
        if saved["config"] != self.config.to_dict():
            raise CheckpointError(
                f"{self.folder / 'checkpoint.pt'} belongs to another run: delete {self.folder}"
            )
        self._attach(dense=saved["dense_phase"])
        self._optimize()
        self.model.load_state_dict(saved["model"])
        self.handle.load_state_dict(saved["handle"])
        self.optimization.load_state_dict(saved["optimization"])
        self.step, self.macs = saved["step"], saved["macs"]
        self._seconds = saved["seconds"]
        self._losses = _Mean(*saved["losses"])
        self.log.rows = saved["rows"]
        self.log.write()
        checkpoint.restore_random_state(saved["random"])

    # Logging

    def _header(self) -> dict[str, Any]:
        return {
            "config": self.config.to_dict(),
            "metric": self.task.metric.name,
            "data": self.task.provenance(),
            "torch": torch.__version__,
            "device": self.device.type,
            "threads": torch.get_num_threads(),
        }

    def _log_row(self) -> None:
        self._metrics = self.task.evaluate(self.model, self.device)
        row: Row = {
            "step": self.step,
            "epoch": self.step / self.recipe.steps_per_epoch,
            "lr": self.optimization.lr(self.step),
            "loss": self._losses.take(),
            **self._metrics,
            "macs": self.macs,
            "cpu_seconds": round(self._elapsed(), 2),
        }
        self.log.add(row)
        self.watch(Progress(self.step, self.steps, row["loss"], self._last_score()))

    def _last_score(self) -> float | None:
        return self.log.rows[-1][self.task.metric.name] if self.log.rows else None

    def _elapsed(self) -> float:
        """CPU seconds of all sittings so far."""
        return self._seconds + time.process_time() - self._clock

    @property
    def _dense_macs(self) -> float:
        """MACs of training the same task dense for the recipe's steps."""
        recipe = self.task.recipe
        return self.cost.step({}) * (self.config.steps or recipe.epochs * recipe.steps_per_epoch)


def _recipe(recipe: Recipe, plan: Plan, config: RunConfig) -> Recipe:
    """The task's recipe with what the method's plan and the user change."""
    changes: dict[str, Any] = {
        "optimizer": plan.optimizer,
        "weight_decay": plan.weight_decay,
        "lr": config.lr if config.lr is not None else plan.lr,
    }
    return replace(recipe, **{k: v for k, v in changes.items() if v is not None})


class _Mean:
    """Mean of the losses since the last row."""

    def __init__(self, total: float = 0.0, count: int = 0) -> None:
        self.total, self.count = total, count

    def add(self, value: float) -> None:
        self.total, self.count = self.total + value, self.count + 1

    def take(self) -> float | None:
        """The mean, None of nothing; starts anew."""
        mean = self.total / self.count if self.count else None
        self.total, self.count = 0.0, 0
        return mean

    def state(self) -> tuple[float, int]:
        return self.total, self.count
