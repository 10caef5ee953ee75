"""What is promised, measured: each figure beside a bare loop over the same libraries in the same run."""
