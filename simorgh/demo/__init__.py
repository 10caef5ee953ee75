"""The demo: a year of real purchases, simulated web visits around them, and the platform's findings."""
