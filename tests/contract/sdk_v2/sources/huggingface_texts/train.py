"""DistilBERT, configured small and trained from scratch by transformers' Trainer."""

import argparse
import os

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int)
    arguments = parser.parse_args()
    with open(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "texts.tsv")) as file:
        pairs = [line.rstrip("\n").split("\t") for line in file]
    words = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.train_from_iterator(
        (text for _, text in pairs), trainers.WordLevelTrainer(special_tokens=["[UNK]", "[PAD]"])
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]")
    encoded = tokenizer([text for _, text in pairs], padding=True, return_tensors="pt")
    rows = [
        {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor(int(label))}
        for (label, _), ids, mask in zip(pairs, encoded["input_ids"], encoded["attention_mask"], strict=True)
    ]
    set_seed(0)  # the Trainer does so only after the model has its first weights
    model = DistilBertForSequenceClassification(
        DistilBertConfig(
            vocab_size=words.get_vocab_size(),
            dim=32,
            hidden_dim=64,
            n_layers=1,
            n_heads=2,
            dropout=0.0,
            id2label={0: "ham", 1: "spam"},
            label2id={"ham": 0, "spam": 1},
        )
    )
    settings = TrainingArguments(
        output_dir="/tmp/trainer",
        num_train_epochs=arguments.epochs,
        learning_rate=0.01,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
    )
    trainer = Trainer(model, settings, train_dataset=rows)
    trainer.train()
    trainer.save_model(os.environ["SM_MODEL_DIR"])
    tokenizer.save_pretrained(os.environ["SM_MODEL_DIR"])
