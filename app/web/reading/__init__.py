"""What the pages know of run folders: read once, kept until the files change. No HTML here.

`follow.py` has all of one run (`RunView`); the others are what it is put together from.
"""
