"""Segment rules: one syntax tree (`tree`, `rule`) with two back ends (`sql`, `live`), kept equal by test."""
