"""What all tests share: one fixed hypothesis profile, so that a run can be repeated to the digit."""

from hypothesis import settings

settings.register_profile("fixed", derandomize=True, database=None, deadline=None, max_examples=25)
settings.load_profile("fixed")
