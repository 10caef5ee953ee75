"""The demo: a year of real purchases, a simulated web beside it, and what the platform makes of both."""
