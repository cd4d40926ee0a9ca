"""How good is a model at writing programs? Samples, pass@k, pages."""
