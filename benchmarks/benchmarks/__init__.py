"""The same work, ours and peers, side by side in one run."""
