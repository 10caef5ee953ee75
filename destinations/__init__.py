"""The trigger stage: transitions in, signed webhooks out."""
