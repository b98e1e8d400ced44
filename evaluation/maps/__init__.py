"""Scores of pictures drawn from maps: their segmentation compared with the map, and the segmentors that make it.

Labels are `training.maps`': uint8, 0-149, 255 ignored. `agreement.py` counts and scores them, `folders.py` compares two
folders of map files, `segmentor.py` opens a model that segments pictures.
"""
