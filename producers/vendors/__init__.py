"""Vendors' webhooks: one small file for each vendor. README.md says how one is made."""
