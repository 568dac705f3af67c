"""HTTP as it lies on the wire, for what clients hide: headers, broken bodies, the shape of an error.

It knows the binary tensor extension: a JSON header whose length stands in Inference-Header-Content-Length, then the
tensors' bytes, each as long as its parameter binary_data_size says.
"""

import http.client
import json
import struct

import endpoint
from check import names

INFER = f"/v2/models/{endpoint.NAME}/infer"
_FORMATS = {"FP32": "f", "FP64": "d", "INT32": "i", "INT64": "q", "BOOL": "?"}


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.body = response.read()
        self.type = response.getheader("Content-Type") or ""
        length = response.getheader("Inference-Header-Content-Length")
        self.header_length = None if length is None else int(length)

    def json(self):
        return json.loads(self.body if self.header_length is None else self.body[: self.header_length])

    def output(self, name):
        """The values of an output, binary or not."""
        at = self.header_length
        for tensor in self.json()["outputs"]:
            size = tensor.get("parameters", {}).get("binary_data_size")
            if tensor["name"] == name:
                return tensor["data"] if size is None else unpack(tensor["datatype"], self.body[at : at + size])
            at = at if size is None else at + size
        raise AssertionError(f"there is no output '{name}'")

    def binary(self):
        """Names of the outputs that came as bytes. Their sizes have to add up."""
        sizes = {
            t["name"]: t["parameters"]["binary_data_size"]
            for t in self.json()["outputs"]
            if "binary_data_size" in t.get("parameters", {})
        }
        if sizes:
            assert self.header_length is not None, "binary outputs without Inference-Header-Content-Length"
            assert self.header_length + sum(sizes.values()) == len(self.body), (
                "the binary sizes do not add up to the body"
            )
        return set(sizes)


def ask(method, path, body=None, headers=None, token=endpoint.TOKEN):
    """One request on a connection of its own. A body that is not bytes is sent as JSON."""
    connection = http.client.HTTPConnection(endpoint.ADDRESS, timeout=10)
    headers = dict(headers or {})
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, path, body, headers)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def infer(tensors, **more):
    """An accepted inference in JSON."""
    answer = ask("POST", INFER, {"inputs": tensors, **more})
    assert answer.status == 200, f"{answer.status}: {answer.body[:200]}"
    return answer


def pack(datatype, data):
    if datatype == "BYTES":
        raw = [value if isinstance(value, bytes) else value.encode() for value in data]
        return b"".join(struct.pack("<I", len(value)) + value for value in raw)
    return struct.pack(f"<{len(data)}{_FORMATS[datatype]}", *data)


def unpack(datatype, raw):
    if datatype != "BYTES":
        return list(struct.unpack(f"<{len(raw) // struct.calcsize(_FORMATS[datatype])}{_FORMATS[datatype]}", raw))
    values, at = [], 0
    while at < len(raw):
        (size,) = struct.unpack_from("<I", raw, at)
        values.append(raw[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return values


def binary(tensors, keep=(), **more):
    """(body, headers) with the tensors as bytes, but for those whose names are to be kept as JSON."""
    head, tail = [], b""
    for tensor in tensors:
        if tensor["name"] in keep:
            head.append(tensor)
            continue
        raw = tensor["raw"] if "raw" in tensor else pack(tensor["datatype"], tensor["data"])
        head.append(
            {k: v for k, v in tensor.items() if k not in ("data", "raw")}
            | {"parameters": {"binary_data_size": len(raw)}}
        )
        tail += raw
    header = json.dumps({"inputs": head, **more}).encode()
    return header + tail, {
        "Inference-Header-Content-Length": str(len(header)),
        "Content-Type": "application/octet-stream",
    }


def refused(answer, status, *words):
    """The status is one of those expected, the body {"error": "…"}, and its message names each word."""
    expected = (status,) if isinstance(status, int) else status
    assert answer.status in expected, f"expected {status}, got {answer.status}: {answer.body[:200]!r}"
    assert answer.type == "application/json", f"an error has Content-Type application/json, not {answer.type}"
    error = answer.json().get("error")
    assert isinstance(error, str) and error, f'an error is {{"error": "…"}}, not {answer.body[:200]!r}'
    names(error, *words)
