"""The draft of the page New: what will become a run, kept on the server until Start.

Pictures and typed settings come in, one change at a time; problems and warnings in words go out, and at Start a run
(`begin.py`).
"""
