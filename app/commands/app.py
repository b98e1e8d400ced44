"""`delora app`: the pages in a browser."""

from typing import Annotated

import typer

from app.commands.common import Data, command, default_data


@command
def app(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; the next free one where it is taken.")] = 7860,
    host: Annotated[str, typer.Option(help="Address to listen on; any but this computer's own needs --auth.")] = (
        "127.0.0.1"
    ),
    auth: Annotated[
        list[str] | None, typer.Option(metavar="NAME:PASSWORD", help="Who may log in; may be given several times.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    data: Data = default_data(),
) -> None:
    """Personalize Stable Diffusion in the browser. Ctrl-C saves what is training and stops it."""
    from app.web.server import serve

    serve(data, host=host, port=port, auth=auth or [], browser=browser)
