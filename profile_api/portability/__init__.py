"""Everything that is known of one person, as a file for them."""
