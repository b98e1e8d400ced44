"""The app in the browser: a server, its own routes, and pages in three layers.

`reading/` reads run folders and keeps what has not changed; `parts/` makes HTML of that, without Gradio; `pages/` is
the Gradio part: what is pressed and typed. A click goes from a page to `app.control`, `app.drafts` or `app.actions`.
"""
