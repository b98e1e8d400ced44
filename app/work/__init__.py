"""The work on trainings: the queue's engines, the worker, and the process that each training is.

A run's id comes in through an engine; the worker starts a guarded process for it, which does the job (`job.py`), and
`outcome.py` and `reconcile.py` say what became of it. The truth is always the run folder's state.json.
"""
