"""What this computer has and holds: devices, room on the disk, downloads, time that runs take, damaged folders.

Everything here looks and tells; only `downloads.py` gets something and only `remove.py` takes something away.
"""
