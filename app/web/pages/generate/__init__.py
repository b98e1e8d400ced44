"""The page Generate: its form, what can be drawn with, files imported to it, and settings taken from a picture."""
