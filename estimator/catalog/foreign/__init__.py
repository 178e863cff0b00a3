"""What others' files say: a Hugging Face ``config.json`` becomes a model."""
