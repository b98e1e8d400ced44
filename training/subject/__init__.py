"""Teaching a subject: its pictures checked and cropped, class pictures, and DreamBooth's loss.

Files come in at `intake.py`; an objective for `training.step` comes out of `dreambooth.py`.
"""
