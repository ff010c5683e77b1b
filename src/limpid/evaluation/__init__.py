"""How good is a model, how sure is that, and what is it to be compared with?

intervals   bootstrap 95 % intervals, of figures and of differences
baselines   trivial, linear and boosted models on the same rows
verdict     one plain sentence on who won
slices      groups of rows in which the model is weakest
details     what a report draws: figures of the task, hardest rows, slices
"""

__all__ = ["baselines", "details", "intervals", "slices", "verdict"]
