"""The model as a folder of plain data: save, load, predict. Needs nothing of training, scikit-learn or scipy."""
