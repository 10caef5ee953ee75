"""How a delivery reaches its destination: one small port, and a sender for each kind of destination."""
