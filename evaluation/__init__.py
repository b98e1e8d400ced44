"""Scores, sheets, reports and studies: what a finished run looks like in numbers and pictures."""
