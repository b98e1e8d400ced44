"""From pictures to a run folder: base models, datasets, objectives and the one training loop."""
