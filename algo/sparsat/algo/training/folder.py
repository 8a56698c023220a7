"""What a run's folder holds: a config, a checkpoint after an epoch, a result when it is done."""

from pathlib import Path
from typing import Literal

from sparsat.algo.training.config import RunConfig
from sparsat.algo.training.errors import TrainError
from sparsat.algo.training.files import read_json


def is_finished(folder: Path) -> bool:
    return (folder / "result.json").exists()


def differences(config: RunConfig, folder: Path) -> list[str]:
    """Names of the settings in which the run in `folder` is another than `config`."""
    stored, wanted = read_json(folder / "config.json"), config.to_dict()
    return [key for key in wanted if stored.get(key) != wanted[key]]


def folder_state(config: RunConfig, root: Path) -> Literal["empty", "unfinished", "finished"]:
    """What `root` holds of the run of `config`; a run without a checkpoint counts as empty.

    Raises `TrainError` where its folder holds a run with other settings.
    """
    folder = root / config.folder
    done = is_finished(folder)
    if not (done or (folder / "checkpoint.pt").exists()):
        return "empty"
    if changed := differences(config, folder):
        raise TrainError(
            f"{folder} holds a run with another {', '.join(changed)}:"
            " choose another --out or delete it"
        )
    return "finished" if done else "unfinished"
