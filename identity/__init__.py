"""Who is who: normalisers, nodes, rules and the graph. Pure: no input or output, no clock."""
