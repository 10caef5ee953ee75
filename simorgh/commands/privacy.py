"""`simorgh privacy`: what people may ask of whoever keeps data about them."""

from simorgh.commands import portability
from simorgh.commands.options import group

commands = group("Privacy: what is known of a person, as a file for them.")
portability.add_to(commands)
