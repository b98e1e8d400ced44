"""`delora worker`: the background program that works on the queue."""

from app.commands.shared.common import Data, command, default_data


@command
def worker(data: Data = default_data()) -> None:
    """Work on the queue of the data folder until Ctrl-C, which saves and stops what is training.

    The app starts one by itself; this is for a computer without the app, or to see what it says.
    """
    from app.worker import main

    main(data)
