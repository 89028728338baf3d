"""Pre- and post-processing around TensorFlow Serving: lines of numbers in, digits out."""

import json


def input_handler(data, context):
    if context.request_content_type != "text/csv":
        raise ValueError(f"{context.request_content_type} is not understood")
    lines = data.read().decode().splitlines()
    return json.dumps({"instances": [[float(cell) for cell in line.split(",")] for line in lines]})


def output_handler(response, context):
    if response.status_code != 200:
        raise ValueError(response.content.decode())
    rows = json.loads(response.content)["predictions"]
    return json.dumps([row.index(max(row)) for row in rows]), context.accept_header
