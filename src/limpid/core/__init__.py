"""The words that every part shares: errors, specs, catalogue, forms, schema, events, files, run folder. No torch."""
