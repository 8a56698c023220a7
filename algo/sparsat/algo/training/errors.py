"""Errors a user can act on. Each message is one line: what is wrong, where, what to do."""


class TrainError(ValueError):
    """Training cannot start or go on."""


class CheckpointError(TrainError):
    """A checkpoint is damaged or belongs to another run."""
