"""Training runs and sweeps: resumable, logged, compared in one table."""
