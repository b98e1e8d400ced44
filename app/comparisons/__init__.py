"""Comparisons: one subject taught in several ways, as one thing that is started, stopped, resumed and looked at.

Its runs are ordinary ones, which the queue takes one after another; a comparison names them and holds nothing of them.
"""
