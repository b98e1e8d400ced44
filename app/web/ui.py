"""Builds the app in the browser from its pages: Gradio for what is pressed and typed, our own routes beside it."""

from __future__ import annotations

import contextlib
import os
import warnings
from importlib import import_module
from pathlib import Path

from app.web import gradioimport
from app.web.door import upload
from app.web.door.names import Names
from app.web.studio import Studio
from app.web.uploads import Uploads

STATIC = Path(__file__).parent / "static"
PAGES = (  # name, address, module; the order of the navigation is `shell.LINKS`
    ("New", "", "new.page"),
    ("Runs", "runs", "runs"),
    ("Generate", "generate", "generate.page"),
    ("This computer", "computer", "computer"),
    ("Run", "run", "run.page"),
    ("Compare", "compare", "compare.page"),
)


def application(
    studio: Studio, users: dict[str, str] | None = None, *, names: Names | None = None, root_path: str = ""
):
    """The ASGI application: the door, behind it the login where there are `users`, then pages and own routes.

    Args:
        names: what it answers to; this computer's own names by themselves.
        root_path: the path that a proxy puts before all addresses, as `app.web.door.front.clean_root_path` gives it.
    """
    gr = _gradio(studio.uploads)
    from fastapi import FastAPI

    from app.web import maproutes, routes, theme
    from app.web.door import calls, front, login, nospace, unforeseen

    app = FastAPI(title="DeLoRA Studio", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(maproutes.routes(studio))
    app.include_router(routes.routes(studio))
    app.include_router(upload.routes(studio))
    app.add_middleware(nospace.NoSpace, data=studio.data)
    app.add_middleware(calls.Calls, uploads=studio.uploads)
    if users:
        app.add_middleware(login.Login, users=users)  # the last one added is the first one asked
    pages = blocks(studio)
    gr.mount_gradio_app(
        app,
        pages,
        path="/",
        root_path=root_path or None,
        theme=theme.theme(),
        css="\n".join(path.read_text("utf-8") for path in sorted(STATIC.glob("*.css"))),
        head="".join(f"<script>{path.read_text('utf-8')}</script>" for path in sorted(STATIC.glob("*.js"))),
        favicon_path=STATIC / "icon.svg",
        auth_dependency=(lambda request: request.scope.get("studio_user")) if users else None,
        allowed_paths=[],
        max_file_size=upload.LARGEST_MB * 10**6,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        show_error=False,
    )
    # Gradio's own look at paths begins when launch() has set these, which mounting does not: a second door behind ours.
    pages.has_launched = pages.is_running = True
    addresses = tuple(address for _, address, _ in PAGES)
    return front.Front(unforeseen.Unforeseen(app), names or Names(), addresses, root_path)


def blocks(studio: Studio):
    """The pages as one `gr.Blocks`, each at its own address."""
    _gradio(studio.uploads)
    from app.web.pages import api, shell
    from app.web.pages.told import Pages

    with Pages(title="DeLoRA Studio", analytics_enabled=False, delete_cache=(3600, 86400)) as app:
        _page(studio, shell, app, *PAGES[0])
        api.build(studio)
    for name, address, module in PAGES[1:]:
        with app.route(name, address, show_in_navbar=False) as page:
            _page(studio, shell, page, name, address, module)
    return app


def _page(studio: Studio, shell, page, name: str, address: str, module: str) -> None:
    shell.top(name)
    import_module(f"app.web.pages.{module}").build(studio, page)


def _gradio(uploads: Uploads):
    """Gradio, imported with its files among the app's uploads and without anything that calls home.

    Its own environment variables would override what is said here (even the folders it may show), so they go.
    """
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with contextlib.suppress(OSError):  # a full disk: an upload says so
        uploads.hold()
    os.environ["GRADIO_TEMP_DIR"] = str(uploads.folder)
    gradioimport.prepare()
    import gradio

    warnings.filterwarnings("ignore", message="SSR mode is not supported")  # said although it is switched off
    return gradio
