"""Any text model of transformers from a directory or the user's cache: BERT, MiniLM, CLIP's, SigLIP's, T5's encoder, GPT-2, …"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from multimodal_lab.backbone import masked
from multimodal_lab.backbone import transformers_model as towers
from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.backbone.padding import real_tokens, some_key
from multimodal_lab.backbone.pooling import Pooling, own_pooling, sees_padding
from multimodal_lab.backbone.sentence_dense import dense_layers, require_dense
from multimodal_lab.bounds import Fraction
from multimodal_lab.files import tokenizer_digest
from multimodal_lab.pretrained.hub import directory
from multimodal_lab.pretrained.tokenizer import tokenizer_file, tokenizer_json
from multimodal_lab.types import Features, Stream

TRAINED = ("word", "bpe")


class TransformersText(nn.Module):
    """The text model that `weights` names, a directory or an id in the user's cache, or the text half of one of images and texts.

    begin: "pretrained", or "random", built by config.json alone. pool: "mean" of the real tokens; the "first" (BERT's class
    token) or the "last" real one (of a model that reads from left to right); "pooler", the model's own `pooler_output` (CLIP:
    the token that ends the text, SigLIP: the last place and a layer); "auto", what the model was trained to pool by, see
    `own_pooling`, and the layers behind, see `dense_layers`, through which tokens go, too. projection: of half a model of
    images and texts, pooled and tokens are what its own `text_projection` makes of them (SigLIP has none). The stream must be
    read by the tokenizer that the model was trained with, which is checked by its digest where the directory holds it, else by
    its size. dropout: of every dropout of the model in training; None, as its config.json says. `scalars`: see
    `transformers_model.Half`.
    """

    kinds = ("text",)

    initial: ClassVar[dict[str, str]] = {"begin": "random"}  # config.json is needed all the same

    model: Any  # of transformers: its parts are known to no type

    def __init__(
        self,
        stream: Stream,
        *,
        weights: str,
        begin: Literal["pretrained", "random"] = "pretrained",
        pool: Literal["auto", "mean", "first", "last", "pooler"] = "auto",
        projection: bool = False,
        dropout: Fraction | None = None,
        checkpointing: bool = False,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        require(self, stream)
        folder, config = directory(weights, "backbone.weights"), towers.whole_config(weights)
        self.stream = stream
        self.pool: Pooling = own_pooling(folder, config) if pool == "auto" else pool
        towers.require_own_pooling(self.pool, projection)
        unused = () if self.pool == "pooler" else ("pooler",)
        half = towers.load(weights, "text", begin, optional=unused, projects=projection, dropout=dropout)
        self.model, self.scalars = half.model, half.scalars
        if unused and getattr(self.model, "pooler", None) is not None:
            self.model.pooler = None  # nothing would train it
        self.projection = half.projection if projection else None
        if pool == "auto" and not half.dual:
            self.projection = dense_layers(folder, int(self.model.config.hidden_size), begin)
        self.dim = towers.width(int(self.model.config.hidden_size), self.projection)
        self.sees_padding = sees_padding(folder, config)
        self._require_tokenizer(weights)
        if checkpointing:
            towers.checkpointed(self.model, weights)
        if freeze:
            freeze_module(self)

    def _require_tokenizer(self, weights: str) -> None:
        stream, config, at = self.stream, self.model.config, f"modality.{self.stream.name}"
        own, table = _digests(weights), int(self.model.get_input_embeddings().num_embeddings)
        if own and stream.digest not in own:
            raise ValueError(
                f"{at}.tokens: tokenizer {stream.digest[:8]} of {stream.vocab} entries, but the model in {weights} was trained "
                f"with {own[0][:8]} of its own directory: the same numbers mean other words; give {at}.tokens={weights}"
            )
        if int(stream.vocab or 0) > table or (not own and stream.vocab != table):
            raise ValueError(
                f"{at}.tokens: a tokenizer of {stream.vocab} entries, but the model in {weights} has a table of {table}; give "
                "the tokenizer that it was trained with"
            )
        offset = _offset(self.model)
        if offset is not None and stream.pad != config.pad_token_id:
            raise ValueError(
                f"{at}.tokens: texts are padded with {stream.pad}, and the model in {weights} counts its places by padding of "
                f"{config.pad_token_id}; give the tokenizer that it was trained with"
            )
        _require_length(int(stream.length or 0), config, offset, f"{at}.length", weights, self.sees_padding)

    @staticmethod
    def require_possible(
        weights: str,
        tokens: str | None = None,
        length: int | None = None,
        begin: towers.Begin = "pretrained",
        pool: str = "auto",
        dropout: float | None = None,
        key: str = "modality.text",
        **_: Any,
    ) -> None:
        """An error in one sentence, before data are read, for a directory, a tokenizer or a length that can't be."""
        towers.require_tensors(weights, begin)
        towers.require_dropout(weights, dropout)
        config = towers.config_of(weights, "text")
        if not getattr(config, "vocab_size", None):
            raise ValueError(f"backbone.weights={weights}: a {config.model_type} reads no text; choose a text model")
        if (tokens or "word") in TRAINED and tokenizer_file(weights).is_file():
            raise ValueError(
                f"{key}.tokens={tokens or 'word'} is trained on these data, but the model in {weights} reads by its own "
                f"tokenizer; give {key}.tokens={weights}"
            )
        if pool == "auto" and (hidden := getattr(config, "hidden_size", None)):
            require_dense(directory(weights, "backbone.weights"), hidden, begin)
        if length:
            own = sees_padding(directory(weights, "backbone.weights"), towers.whole_config(weights))
            _require_length(length, config, None, f"{key}.length", weights, own)

    def forward(self, x: Tensor) -> Features:
        """x (N, L) int64 to tokens (N, L, D), zero where padded, and pooled (N, D)."""
        mask = real_tokens(x, self.stream)
        attend = torch.ones_like(mask) if self.sees_padding else some_key(mask)
        found = self.model(input_ids=x, attention_mask=attend.long())
        tokens = found.last_hidden_state
        if self.pool == "pooler":
            pooled = getattr(found, "pooler_output", None)
            if pooled is None:
                raise ValueError("backbone.pool=pooler: this model has no pooler_output; choose mean, first or last")
        elif self.pool == "mean":
            pooled = masked.pooled(masked.where_valid(tokens, mask), mask)
        else:
            places = torch.arange(x.shape[1], device=x.device)
            at = (places * mask).argmax(1) if self.pool == "last" else mask.int().argmax(1)
            pooled = tokens[torch.arange(len(x), device=x.device), at]
        if self.projection is not None:
            tokens, pooled = self.projection(tokens), self.projection(pooled)
        return towers.features(tokens, pooled, mask)


def _digests(weights: str) -> list[str]:
    """Those of the tokenizer in the model's directory, as transformers makes it and as the file has it; [] without one."""
    file = tokenizer_file(weights)
    if not file.is_file():
        return []
    return [tokenizer_digest(tokenizer_json(path)) for path in (weights, str(file))]


def _offset(model: nn.Module) -> int | None:
    """The place of a text's first token in a table whose places are counted by padding, as RoBERTa's; else None."""
    for name, part in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(part, nn.Embedding) and part.padding_idx is not None:
            return part.padding_idx + 1
    return None


def _require_length(length: int, config: Any, offset: int | None, key: str, weights: str, padded: bool) -> None:
    places = getattr(config, "max_position_embeddings", None)
    if not isinstance(places, int) or places <= 0:
        return
    most = places - (offset or 0)
    if length > most:
        raise ValueError(f"{key}: {length} tokens, but the model in {weights} has places for {most}; at most {most}")
    if padded and length != most:
        raise ValueError(
            f"{key}: {length} tokens, but the model in {weights} was trained on texts padded to {most}; give {key}={most}"
        )
