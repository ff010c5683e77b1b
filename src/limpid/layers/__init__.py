"""Torch bricks that nets and tasks share: embeddings, ensembles, attention, norms, losses and metrics."""
