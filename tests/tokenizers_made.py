"""Tokenizers as transformers saves them, trained on a few words: BERT's, CLIP's and RoBERTa's ways of marking a text."""

from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXTS = ["a red bird on a branch", "two blue moths", "the red moth and the blue bird", "a bird"] * 3
WAYS = {
    "bert": ("[CLS]", "[SEP]", "[PAD]"),
    "clip": ("<|startoftext|>", "<|endoftext|>", "<|endoftext|>"),  # what ends a text pads it
    "roberta": ("<s>", "</s>", "<pad>"),
    "t5": ("", "</s>", "<pad>"),  # nothing begins a text
}


def make(way: str, folder: Path, vocab: int = 60, **settings) -> PreTrainedTokenizerFast:
    """Save one to `folder`; what transformers itself makes of it. settings: of its tokenizer_config.json."""
    begin, end, pad = WAYS[way]
    special = list(dict.fromkeys(["[UNK]", *([begin] if begin else []), end, pad]))
    if way == "bert":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.WordPieceTrainer(vocab_size=vocab, special_tokens=special, show_progress=False)
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = sorted({c for text in TEXTS for c in text.replace(" ", "Ġ")})
        trainer = trainers.BpeTrainer(
            vocab_size=vocab, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        )
    tokenizer.train_from_iterator(TEXTS, trainer)
    ids = [(name, tokenizer.token_to_id(name)) for name in (begin, end) if name]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{begin} $A {end}".strip(), special_tokens=ids)
    own = ({"unk_token": "[UNK]"} if way == "bert" else {}) | ({"bos_token": begin} if begin else {}) | settings
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, pad_token=pad, model_max_length=77, **own)
    fast.save_pretrained(folder)
    return fast
