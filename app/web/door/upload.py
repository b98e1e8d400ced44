"""The route that takes uploads, in the place of Gradio's own: each has its own folder and is counted as it comes."""

from __future__ import annotations

import errno

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.requests import ClientDisconnect

from app.orders import importing
from app.web.studio import Studio, session_of
from app.web.uploads import Owner
from training.errors import BadInput, from_os_error
from training.subject.pictures import LARGEST_FILE_MB

LARGEST_MB = max(LARGEST_FILE_MB, importing.LARGEST_FILE_MB)
NO_FORM = "An upload is a form (multipart/form-data) with its files in the field “files”."
TOO_MANY = "Up to 1,000 files are taken at once. Put them into a zip, or choose fewer."


def routes(studio: Studio) -> APIRouter:
    """The one route."""
    router = APIRouter()

    @router.post("/gradio_api/upload")
    async def upload(request: Request, upload_id: str | None = None) -> Response:
        return await _take(studio, request, session_of(request), upload_id)

    return router


async def _take(studio: Studio, request: Request, owner: Owner, upload_id: str | None) -> Response:
    from gradio.route_utils import MultiPartException, upload_fn
    from gradio.routes import file_upload_statuses

    upload, kept = None, False

    async def counted():
        message = await request.receive()
        studio.uploads.count(upload, len(message.get("body", b"")))
        return message

    try:
        upload = studio.uploads.begin(owner)
        studio.uploads.count(upload, 0)
        coming, progress = Request(request.scope, counted), file_upload_statuses if upload_id else None
        files, *_ = await upload_fn(
            coming, upload.folder, LARGEST_MB * 10**6, upload_id, force_move=True, upload_progress=progress
        )
        if not files:
            return PlainTextResponse(NO_FORM, 400)
        studio.uploads.done(upload, files)
        kept = True
        return JSONResponse(files)
    except BadInput as error:
        return PlainTextResponse(str(error), 413)
    except MultiPartException as error:
        if "maximum allowed size" in error.message:
            return PlainTextResponse(f"Files up to {LARGEST_MB} MB are taken.", 413)
        if "Too many files" in error.message:
            return PlainTextResponse(TOO_MANY, 413)
        return PlainTextResponse(NO_FORM, 400)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return PlainTextResponse(str(from_os_error(error, studio.uploads.root)), 507 if full else 500)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody reads it
    except Exception:  # a form that Gradio's reader does not foresee: parts without names, none at all, odd types
        return PlainTextResponse(NO_FORM, 400)
    finally:
        if upload and not kept:
            studio.uploads.drop(upload)
            if upload_id:
                file_upload_statuses.set_done(upload_id)
