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


# An event of an issuer's book that no book takes, and things that are none: {"opened": {"charter": h'01'}}.
OPENED = bytes.fromhex("a1666f70656e6564a167636861727465724101")
schemathesis.openapi.media_type(
    "application/vnd.ipld.dag-cbor", st.one_of(st.just(OPENED), st.binary(max_size=200))
)


@schemathesis.serializer("application/vnd.ipld.car", "application/vnd.ipld.dag-cbor")
def as_it_is(context, value):
    """The bytes of an archive or a block, as they are."""
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


# What keeps bytes under the name that follows from them.
KEEPING = ("/v1/files", "/v1/blocks")


@schemathesis.check
def removed_is_gone(ctx, response, case):
    """What was removed is not there any more, unless the same bytes were kept again since.

    schemathesis's own use_after_free knows of no such unless: whoever makes a thing anew there gives it another name.
    """
    name = (case.path_parameters or {}).get("cid")
    if case.method.upper() not in ("GET", "HEAD") or case.path not in ("/v1/blocks/{cid}", "/v1/files/{cid}"):
        return
    is_removed = False
    for each in ctx.internals.find_all_cases():
        answer = ctx.internals.find_response(case_id=each.id)
        if answer is None or each.id == case.id or not 200 <= answer.status_code < 300:
            continue
        if each.method.upper() == "DELETE" and each.path == "/v1/blocks/{cid}":
            is_removed = is_removed or (each.path_parameters or {}).get("cid") == name
        elif each.method.upper() in ("POST", "PUT") and each.path in KEEPING:
            is_removed = False
    assert not is_removed or response.status_code >= 400, f"{name} was removed, and is there"


# What an answer names, and where that leads: the document says of each CID only that it is one.
LINKS = {
    ("/v1/files", "post", "$response.body#/cid"): (
        "GET /v1/files/{cid}", "GET /v1/blocks/{cid}", "POST /v1/pins/{cid}", "DELETE /v1/blocks/{cid}",
    ),
    ("/v1/jobs", "get", "$response.body#/jobs/0/job_id"): (
        "GET /v1/jobs/{cid}", "GET /v1/jobs/{cid}/description", "GET /v1/jobs/{cid}/explanation",
        "GET /v1/jobs/{cid}/output", "POST /v1/jobs/{cid}/cancel",
    ),
    ("/v1/jobs/{cid}", "get", "$response.body#/receipt_cid"): (
        "GET /v1/receipts/{cid}", "GET /v1/receipts/{cid}/archive", "POST /v1/receipts/{cid}/verify",
        "POST /v1/receipts/{cid}/replay", "GET /v1/dag/proofs/{cid}",
    ),
    ("/v1/pins", "get", "$response.body#/pins/0"): (
        "POST /v1/pins/{cid}/public", "POST /v1/pins/{cid}/private", "DELETE /v1/blocks/{cid}",
    ),
}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Says so in the document, so that requests follow one another."""
    for (path, method, expression), targets in LINKS.items():
        answers = raw_schema["paths"][path][method]["responses"]
        status = next(each for each in answers if each.startswith("2"))
        links = answers[status].setdefault("links", {})
        for target in targets:
            verb, place = target.split()
            raw_schema["paths"][place][verb.lower()]  # fails where there is no such operation
            reference = f"#/paths/{place.replace('~', '~0').replace('/', '~1')}/{verb.lower()}"
            links[target] = {"operationRef": reference, "parameters": {"path.cid": expression}}
