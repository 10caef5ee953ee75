"""The demo: a year of real purchases, all else that customers do simulated around them, and the platform's findings."""
