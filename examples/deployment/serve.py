"""Serve a network over HTTP with LitServe: photographs in, the numbers of all tasks out.

    pip install ".[cpu,experiments]" litserve python-multipart
    python examples/deployment/serve.py quick --port 8000
    curl -F image=@photo.jpg http://127.0.0.1:8000/predict --output photo.npz

The answer is a NumPy archive with one array by task, at the size of the photograph.
"""

import argparse
import io

import fastapi
import fastapi.responses
import litserve
import numpy as np

import mtl_tf as mtl
from mtl_tf.data import DataError
from mtl_tf.data.files import decode_image


class Predictions(litserve.LitAPI):
    """Predict the photographs that arrive within a few milliseconds in one pass.

    Args:
        model: a run, preset or `.keras` file.
        max_batch_size: photographs in a pass.
    """

    def __init__(self, model: str, max_batch_size: int = 8) -> None:
        super().__init__(max_batch_size=max_batch_size, batch_timeout=0.005)
        self.model = model

    def setup(self, device: str) -> None:
        """Load the network, in the process that runs it."""
        self.predictor = mtl.Predictor(self.model)
        self.predictor(np.zeros((64, 64, 3), np.uint8))  # trace it before the first request

    def decode_request(self, request: fastapi.Request) -> np.ndarray | str:
        """Return the photograph in a form with the field `image`, or what is wrong with it."""
        try:
            return decode_image(request["image"].file.read(), "image")
        except (DataError, KeyError, AttributeError) as error:
            return f"Send a photograph in the field image: {error}"  # the others of its batch go on

    def batch(self, inputs: list[np.ndarray | str]) -> list[np.ndarray | str]:
        """Return the photographs of a batch as they are: they have different sizes."""
        return inputs

    def predict(self, photos: list[np.ndarray | str]) -> list[mtl.deployment.Prediction | str]:
        """Return the predictions of a batch."""
        predictions = iter(self.predictor([p for p in photos if not isinstance(p, str)]))
        return [p if isinstance(p, str) else next(predictions) for p in photos]

    def unbatch(
        self, output: list[mtl.deployment.Prediction | str]
    ) -> list[mtl.deployment.Prediction | str]:
        """Return the predictions of a batch, one by one."""
        return output

    def encode_response(self, output: mtl.deployment.Prediction | str) -> fastapi.Response:
        """Return the numbers of all tasks as a NumPy archive."""
        if isinstance(output, str):
            return fastapi.responses.JSONResponse({"detail": output}, status_code=422)
        archive = io.BytesIO()
        np.savez_compressed(archive, **{task: output[task] for task in output.maps})
        return fastapi.Response(archive.getvalue(), media_type="application/x-npz")


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--max-batch-size", type=int, default=8)
    options = parser.parse_args()
    api = Predictions(options.model, options.max_batch_size)
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host=options.host, port=options.port, generate_client_file=False)


if __name__ == "__main__":
    main()
