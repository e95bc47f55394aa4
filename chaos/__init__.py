"""The whole installation in real processes, while everything it stands on breaks."""
