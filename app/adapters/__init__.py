"""Adapters as files: a run's saves, what was imported, and what is written for other programs.

In come checkpoints and LoRA files from elsewhere; out go `Source`s to draw with and exported files. Nobody here waits
for anything: what takes long is ordered in `app.orders` or done by a command.
"""
