"""One measurement in a process of its own: a `Job` as JSON in, a file of results out."""

import dataclasses
import json
import pathlib
import sys

from mtl_tf.deployment.latency.measurement import Job, measure


def main(job: str, out: str) -> None:
    """Write the results, or the error, as JSON.

    Args:
        job: a `Job` as JSON.
        out: path of the file.
    """
    try:
        content: object = [dataclasses.asdict(result) for result in measure(Job(**json.loads(job)))]
    except Exception as error:  # of any runtime
        content = {"error": str(error).strip() or type(error).__name__}
    pathlib.Path(out).write_text(json.dumps(content), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
