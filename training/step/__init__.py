"""One training step and what it needs: adapters attached, draws, noise, rates, memory.

`trainer.py` makes the steps of whatever `objective.py` describes and knows nothing of subjects or maps.
"""
