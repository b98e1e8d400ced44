"""Teaching pictures from maps: semantic maps in ADE20K's 150 classes read, paired with pictures, and made ready.

A map is a uint8 array (H, W) of labels 0-149 from the moment it is read, with 255 (`IGNORED`) for every pixel of no
class; `classes.py` has their names and colours. Files come in at `reading.py`, whatever way they say their classes, and
go out at `writing.py`; `pairs.py` finds the picture of each map.

Colours are made at the ControlNet's door and nowhere before: `colours.control` turns labels (n, H, W) into the float
tensor (n, 3, H, W) in [0, 1] that diffusers takes without resizing, ADE20K's palette divided by 255, ignored pixels
black. Pictures and maps go through one geometry (`geometry.py`): short side to the target, one crop for both, nearest
for labels.

Scores over such labels are `evaluation.maps`: one confusion matrix over all maps, 255 in the truth left out.
"""

IGNORED = 255
SEGMENTATION, PICTURE = "segmentation", "picture"  # what pictures follow: their map, or a control picture as it is
