"""What several commands share: how they are called and answer, and options made from settings."""
