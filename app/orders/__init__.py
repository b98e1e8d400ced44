"""What a page orders and does not wait for: drawings, exports, imports, maps of pictures, done one by one.

An order is a folder with what was asked and where it stands (`order.py`); `book.py` knows all kinds of them,
`drawer_process.py` is the process as the worker minds it, and `drawer.py` is what runs in it.
"""
