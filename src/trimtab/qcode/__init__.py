"""Training of language models on a programming language, with programs graded by running them."""
