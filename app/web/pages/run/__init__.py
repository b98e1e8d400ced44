"""A run's page, and the formats that can be ordered on it."""
