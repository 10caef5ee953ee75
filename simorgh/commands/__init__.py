"""The commands, a small file for each group. `simorgh.cli` puts them together; start reading there.

`options` has what many commands take, `output` how they print, `session` how they reach the platform.
"""
