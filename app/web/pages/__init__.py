"""The pages. Each has `build(studio, page)`, called inside its `gr.Blocks`; what they show is made in `app.web.parts`.

`act.py`, `live.py`, `shell.py` and `upkeep.py` are what pages have in common; `api.py` has the named actions.
"""
