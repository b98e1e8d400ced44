"""What pages show, as HTML and words: cards, links, lists, the strip on every page. No Gradio here.

`run/` has the parts that a run's page and a comparison are made of.
"""
