"""Property tests try the same examples in every run, and have no deadline: machines are shared."""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
