"""Senders: one small port, and a sender for each kind of destination."""
