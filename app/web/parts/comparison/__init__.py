"""A comparison as HTML: how it stands, what it found, its grid of pictures, curves, heat maps and files."""
