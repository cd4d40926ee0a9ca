"""Post-training of an empathetic recommender dialogue model, with rewards that can be trusted."""
