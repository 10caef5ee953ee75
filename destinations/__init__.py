"""The trigger stage: transitions in, deliveries to destinations out."""
