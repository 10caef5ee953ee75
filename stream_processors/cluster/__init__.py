"""The projections as stages for several workers. `stage.py`: what a host may rely on; `docs/scaling.md`: why."""
