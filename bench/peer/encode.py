"""Bodies for the binary protocols, made from a JSON inference request with the standard library alone.

bench/peers encode binary BODY.json FILE          prints the header for `measure --header`
bench/peers encode grpc MODEL BODY.json FILE      a ModelInfer call with raw_input_contents, framed for HTTP/2
"""

import json
import pathlib
import struct

FORMATS = {"FP32": "f", "FP64": "d", "INT32": "i", "INT64": "q", "BOOL": "?"}


def encode(arguments):
    kind, *rest = arguments
    if kind == "binary":
        body, out = rest
        head, tail = _binary(json.loads(pathlib.Path(body).read_text()))
        pathlib.Path(out).write_bytes(head + tail)
        print(f"Inference-Header-Content-Length: {len(head)}")
    elif kind == "grpc":
        model, body, out = rest
        message = _message(model, json.loads(pathlib.Path(body).read_text()))
        # A gRPC frame: not compressed, then the length, big-endian.
        pathlib.Path(out).write_bytes(struct.pack(">BI", 0, len(message)) + message)
    else:
        raise SystemExit(__doc__)


def _raw(tensor):
    data = tensor["data"]
    if tensor["datatype"] == "BYTES":
        return b"".join(struct.pack("<I", len(value.encode())) + value.encode() for value in data)
    return struct.pack(f"<{len(data)}{FORMATS[tensor['datatype']]}", *data)


def _binary(request):
    """The binary tensor extension, in and out."""
    raw = [_raw(tensor) for tensor in request["inputs"]]
    inputs = [
        {key: tensor[key] for key in ("name", "shape", "datatype")} | {"parameters": {"binary_data_size": len(one)}}
        for tensor, one in zip(request["inputs"], raw)
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    return head, b"".join(raw)


def _message(model, request):
    """ModelInferRequest: model_name is 1, inputs are 5 (name 1, datatype 2, shape 3), raw_input_contents are 7."""
    message = _field(1, model.encode())
    for tensor in request["inputs"]:
        shape = b"".join(map(_varint, tensor["shape"]))
        message += _field(
            5, _field(1, tensor["name"].encode()) + _field(2, tensor["datatype"].encode()) + _field(3, shape)
        )
    return message + b"".join(_field(7, _raw(tensor)) for tensor in request["inputs"])


def _field(number, content):
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])
