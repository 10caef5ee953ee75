"""The worker's host: Faust says which partitions are ours, lanes read and process them. Why so: `docs/faust.md`."""
