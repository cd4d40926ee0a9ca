"""Pure functions on arrays: the mathematics that the rooms share. No state, no torch."""
