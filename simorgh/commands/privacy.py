"""`simorgh privacy`: what protects people."""

from simorgh.commands import audit
from simorgh.commands.options import group

commands = group("Privacy: the audit.")
commands.add_typer(audit.commands, name="audit")
