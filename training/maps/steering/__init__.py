"""Pictures from maps, taught and drawn: how a map steers a UNet, the loss of a step, and the pictures of a save.

Pairs come in as `training.maps.intake` wrote them; an objective for `training.step` comes out of `objective.py`.
"""
