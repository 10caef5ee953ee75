"""Everything that is known about one person, as a file for them."""
