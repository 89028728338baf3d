"""A training program as people write them for SageMaker's SDK: data in, model out."""

import json
import os
from pathlib import Path

epochs = json.loads(os.environ["SM_HPS"])["epochs"]
data = "".join(path.read_text() for path in sorted(Path(os.environ["SM_CHANNEL_TRAIN"]).iterdir()))
print(f"trained {epochs} epochs on {data!r}")
Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(f"{epochs}:{data}")
