"""What schemathesis cannot know of a node: the media types of its bodies, and names of things that are there.

API_CHECK_KNOWN is a JSON object of CIDs: "job", "receipt" and "file" of the node that is checked.
"""

import json
import os

import schemathesis
from hypothesis import strategies as st

known = json.loads(os.environ["API_CHECK_KNOWN"])

# An archive of version 1 without blocks, and things that are none.
EMPTY_CAR = bytes([17]) + bytes.fromhex("a265726f6f7473806776657273696f6e01")
schemathesis.openapi.media_type(
    "application/vnd.ipld.car", st.one_of(st.just(EMPTY_CAR), st.binary(max_size=200))
)


@schemathesis.serializer("application/vnd.ipld.car")
def car(context, value):
    """The bytes of an archive, as they are."""
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.deserializer("application/x-ndjson")
def lines(context, response):
    """The schema is that of each line; a stream that ends has at least one here."""
    return json.loads(response.content.splitlines()[0])


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Every other request names something that is there, except those that would take it away."""
    operation = context.operation
    name = next((kind for kind in ("job", "receipt") if operation.path.startswith(f"/v1/{kind}s/")), "file")
    cid = (path_parameters or {}).get("cid")
    if not isinstance(cid, str) or operation.method.upper() == "DELETE":
        return path_parameters
    return {**path_parameters, "cid": known[name]} if sum(cid.encode()) % 2 else path_parameters
