"""Speed and quality records of limpid beside its peers; README.md holds the rules."""
