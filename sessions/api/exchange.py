"""``/v1/x/workspace``: the caller's workspace out, or another one's archive in (only here)."""

from typing import Any

from django.http import StreamingHttpResponse
from ninja import Body, File, Form, Router
from ninja.files import UploadedFile
from pydantic import BaseModel, ConfigDict

from contract import pieces
from contract.http import Request
from contract.roles import Permission
from contract.secret import Secret
from sessions.exchange import archive

router = Router(tags=["Workspace"])


class ExportBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    passphrase: str


@router.post("/export", operation_id="x.workspace.export")
def export(request: Request, body: Body[ExportBody]) -> StreamingHttpResponse:
    """A zip that the passphrase signs. It holds no secrets, but everything that was ever said."""
    made = archive.export_file(Secret(body.passphrase), request.acting)
    return pieces.download(made, filename="workspace.zip", mime_type="application/zip")


@router.post("/import", response=dict[str, Any], operation_id="x.workspace.import")
def restore(
    request: Request, archive_file: File[UploadedFile], passphrase: Form[str], dry_run: Form[bool] = False
) -> dict[str, Any]:
    """Bring an archive into the caller's workspace; how many rows of each kind. With ``dry_run`` nothing is brought in:
    ``found`` tells what is in the archive, and how many rows of each kind are here already.
    """
    source: Any = archive_file
    if dry_run:
        request.acting.require(Permission.ADMINISTER)
        return {"found": archive.check(source.file, Secret(passphrase))}
    return {"imported": archive.restore(source.file, Secret(passphrase), request.acting)}
