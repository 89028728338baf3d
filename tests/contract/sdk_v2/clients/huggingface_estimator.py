"""Hugging Face: a small DistilBERT by transformers' Trainer, served as a pipeline without a script."""

from pathlib import Path

from sagemaker.huggingface import HuggingFace, HuggingFaceModel

from .session import INSTANCE, ROLE, SOURCES, found, session

HAM = ("see you at home", "call me later", "thanks for dinner", "we meet at seven", "are you at home")
SPAM = ("win a free prize now", "free entry to win cash", "claim your prize", "urgent cash prize", "win now")

sagemaker_session = session()
texts = Path("texts.tsv")
pairs = [(label, text) for label, lines in enumerate((HAM, SPAM)) for text in lines * 8]
texts.write_text("".join(f"{label}\t{text}\n" for label, text in pairs))
estimator = HuggingFace(
    entry_point="train.py",
    source_dir=str(SOURCES / "huggingface_texts"),
    transformers_version="4.49.0",
    pytorch_version="2.5.1",
    py_version="py311",
    instance_count=1,
    instance_type="ml.p3.2xlarge",
    role=ROLE,
    sagemaker_session=sagemaker_session,
    hyperparameters={"epochs": 4},
)
estimator.fit({"train": sagemaker_session.upload_data(str(texts), key_prefix="texts")})
model = HuggingFaceModel(
    model_data=estimator.model_data,
    role=ROLE,
    transformers_version="4.49.0",
    pytorch_version="2.6.0",
    py_version="py312",
    sagemaker_session=sagemaker_session,
)
predictor = model.deploy(1, INSTANCE)
found(answers=predictor.predict({"inputs": ["win a prize now", "see you at seven"]}))
predictor.delete_endpoint()
