"""The HTTP API: profiles, segments, triggers, status and rejected events, and access to them."""
