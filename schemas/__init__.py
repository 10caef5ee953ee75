"""The contract: envelope, event schemas, upcasters, records and errors. Imports nothing of ours."""
