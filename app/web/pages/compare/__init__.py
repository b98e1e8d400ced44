"""The page Compare: a form that starts a comparison, a comparison, or runs that were chosen on the page Runs."""
