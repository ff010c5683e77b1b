"""The loops that fit a network, and what they need: optimisers, schedules, guards, checkpoints, measurements."""
