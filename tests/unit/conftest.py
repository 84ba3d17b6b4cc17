"""Property tests try the same bounded number of examples in every run."""

from hypothesis import settings

settings.register_profile("repeatable", max_examples=60, derandomize=True, deadline=None)
settings.load_profile("repeatable")
