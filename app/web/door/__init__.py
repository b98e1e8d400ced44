"""The door of the app: what comes from outside is looked at here before any page, route or Gradio's own code sees it.

In: every HTTP request (`front.Front`, outermost; then `login.Login` where there are users; then `calls.Calls`).
Out: requests that name this app, come from its own pages or from no page at all, and name no file but their session's
own uploads; and answers with the headers that keep a browser to that.
"""
