"""The composition root: settings, data folder, wiring of the roles, command line. No logic; nothing imports it."""

__version__ = "0.1.0"
