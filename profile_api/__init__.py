"""What the platform shows: profiles, segments, triggers, status, rejected events; and who may see it."""
