"""How a trained model works on given rows: traces, attributions, importance."""
