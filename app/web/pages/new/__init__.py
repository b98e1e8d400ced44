"""The page New: its form, and what happens on it when something is dropped, typed or pressed."""
