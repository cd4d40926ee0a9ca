"""Proximal policy optimisation of a language model on graded replies, with a critic of its own, on accelerate."""
