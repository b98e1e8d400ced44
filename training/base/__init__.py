"""Base models: what a name means, whether what lies there can be used, and loading it.

A name, folder or file comes in (`modelref.py`); `models.py` gives it back as a `BaseModel` with its capabilities. What
is not here can be got (`hub.py`, `download.py`), pinned by `catalog.py`.
"""
