"""The toy world that the embedded models know: things, places and captions, rendered to pixels and kept in a cache.

`world.py` renders a scene of `sprites.py` and `places.py`; `cache.py` and `instances.py` hold what trainings read.
"""
