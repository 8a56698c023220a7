"""One training run: from a `RunConfig` to a folder with log, checkpoint and result.

Files in the folder: `config.json` (what the run is), `log.csv` and `log.json` (one row per
evaluation), `checkpoint.pt` (after every epoch), and when it is done `model.pt` (the finalised
`state_dict`) and `result.json`. All are written atomically.
"""

import io
import math
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from sparsat.algo.tasks import make_task
from sparsat.algo.tasks.base import Batch
from sparsat.algo.training import checkpoint
from sparsat.algo.training.config import RunConfig
from sparsat.algo.training.errors import CheckpointError, TrainError
from sparsat.algo.training.files import read_json, write_atomic, write_json
from sparsat.algo.training.folder import differences, folder_state, is_finished
from sparsat.algo.training.log import Log, Mean, Row
from sparsat.algo.training.plan import plan_for
from sparsat.algo.training.trainer import Trainer


@dataclass(frozen=True)
class Progress:
    """Where a run stands, for whoever watches it."""

    step: int
    steps: int
    loss: float | None = None
    score: float | None = None


Watcher = Callable[[Progress], None]


class Run:
    """A run of `config` in `root/config.folder`; `execute` trains or goes on training.

    `watch` is called after every step. Raises `TrainError` (or a `ValueError` of the task or
    method) with a one-line message; what is on disk then is sound.
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
        data = Path(config.data) if config.data else None
        self.task = make_task(config.task, data, config.model)
        self._seconds, self._losses = 0.0, Mean()

    # The course of a run

    def execute(self, *, resume: bool = False) -> dict[str, Any]:
        """Train to the end and return the result; with `resume` from the last checkpoint."""
        state = folder_state(self.config, self.root)
        if state == "finished":
            return read_json(self.folder / "result.json")
        if state == "unfinished" and not resume:
            raise TrainError(
                f"{self.folder} holds an unfinished run: add --resume or choose another --out"
            )
        self._clock = time.process_time()
        if state == "unfinished":
            self._restore(checkpoint.load(self.folder / "checkpoint.pt", self.device))
        else:
            self._start()
        while self.trainer.step < self.trainer.steps:
            self._train_epoch()
            self._save()
        return self._finish()

    def _start(self) -> None:
        dense = self._load_dense() if plan_for(self.config.method).after_dense else None
        self._build()
        self.trainer.start(dense)
        write_json(self.folder / "config.json", self.config.to_dict())
        if self.trainer.steps:
            self._log_row()

    def _build(self) -> None:
        self.trainer = Trainer(self.task, self.config, self.device)
        self.log = Log(self.folder, self._header())

    def _train_epoch(self) -> None:
        """Train to the next multiple of the epoch length, evaluating on the way."""
        trainer, length = self.trainer, self.task.recipe.steps_per_epoch
        epoch, done = divmod(trainer.step, length)
        every = math.ceil(length / self.task.recipe.evals)
        batches = self.task.batches(self.config.seed, epoch + self._first_epoch)
        for batch in islice(batches, done, min(length, done + trainer.steps - trainer.step)):
            self._train_step(batch)
            place, last = trainer.step % length, trainer.step == trainer.steps
            if last or place % every == 0 or place == 0:
                self._require_finite("loss", trainer.loss(batch))
                if not last:
                    self._log_row()

    @property
    def _first_epoch(self) -> int:
        """Post-training runs see other batches than the dense run they start from."""
        return 100_000 if self.trainer.plan.after_dense else 0

    def _train_step(self, batch: Batch) -> None:
        loss = self.trainer.train(batch)
        self._require_finite("loss", loss)
        self._losses.add(loss)
        self._tell(loss)

    def _require_finite(self, what: str, value: float) -> None:
        """Stop before anything that is not a number reaches a file."""
        if not math.isfinite(value):
            raise TrainError(
                f"{what} is {value} at step {self.trainer.step} of {self.folder}: lower --lr"
                " (finished epochs are in its log and checkpoint)"
            )

    def _finish(self) -> dict[str, Any]:
        """Verify, finalise, score, and write the result."""
        trainer = self.trainer
        if violations := trainer.handle.verify():
            raise TrainError(
                f"{self.folder}: {len(violations)} trained weights are not what"
                f" {self.config.method} promises, first {violations[0]}; no result is written"
            )
        report = trainer.handle.report
        trainer.finalize()
        scores = self._log_row()
        buffer = io.BytesIO()
        torch.save(trainer.model.state_dict(), buffer)
        write_atomic(self.folder / "model.pt", buffer.getvalue())
        result = {
            "config": self.config.to_dict(),
            "steps": trainer.steps,
            "start_steps": trainer.start_steps,
            "macs": trainer.macs,
            "dense_macs": trainer.dense_macs,
            "cpu_seconds": self.log.rows[-1]["cpu_seconds"],
            "metrics": scores,
            "sparse_layers": [entry.name for entry in report.sparse],
            "report": str(report),
        }
        write_json(self.folder / "result.json", result)
        return result

    # Checkpoints

    def _load_dense(self) -> dict[str, Any]:
        """Last state of the dense run of the same task, seed and steps, whatever its rate."""
        config, dense = self.config, self.config.dense
        folder = self.root / dense.folder
        if not is_finished(folder):
            raise TrainError(
                f"method {config.method} starts from a trained model and {folder} holds none:"
                f" run `sparsat train {config.task} --method dense --seed {config.seed}`"
                " of the same length and --out first"
            )
        if changed := [key for key in differences(dense, folder) if key != "lr"]:
            raise TrainError(
                f"the dense run in {folder} has another {', '.join(changed)}: choose another --out"
            )
        return checkpoint.load(folder / "checkpoint.pt", self.device)

    def _save(self) -> None:
        state = {
            **self.trainer.state_dict(),
            "config": self.config.to_dict(),
            "seconds": self._elapsed(),
            "losses": astuple(self._losses),
            "rows": self.log.rows,
            "random": checkpoint.random_state(),
        }
        checkpoint.save(self.folder / "checkpoint.pt", state)

    def _restore(self, saved: dict[str, Any]) -> None:
        if saved["config"] != self.config.to_dict():
            raise CheckpointError(
                f"{self.folder / 'checkpoint.pt'} belongs to another run: delete {self.folder}"
            )
        self._build()
        self.trainer.load_state_dict(saved)
        self._seconds = saved["seconds"]
        self._losses = Mean(*saved["losses"])
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

    def _log_row(self) -> dict[str, float]:
        """Score the model as it is now; the scores."""
        scores = self.trainer.evaluate()
        for name, score in scores.items():
            self._require_finite(name, score)
        row: Row = {
            "step": self.trainer.step,
            "epoch": self.trainer.step / self.task.recipe.steps_per_epoch,
            "lr": self.trainer.optimization.lr(self.trainer.step),
            "loss": self._losses.take(),
            **scores,
            "macs": self.trainer.macs,
            "cpu_seconds": round(self._elapsed(), 2),
        }
        self.log.add(row)
        self._tell(row["loss"])
        return scores

    def _tell(self, loss: float | None) -> None:
        score = self.log.rows[-1][self.task.metric.name] if self.log.rows else None
        self.watch(Progress(self.trainer.step, self.trainer.steps, loss, score))

    def _elapsed(self) -> float:
        """CPU seconds of all sittings so far."""
        return self._seconds + time.process_time() - self._clock
