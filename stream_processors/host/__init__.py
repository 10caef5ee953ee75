"""The hosts. On a worker Faust assigns partitions, and lanes read and process them: see `docs/faust.md`."""
