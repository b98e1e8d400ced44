"""Run folders: what is in one, who may write it, and what it keeps of a training.

`run.py` is one folder and `rundir.py` all of them; every write lies beside its place first and is then renamed.
"""
