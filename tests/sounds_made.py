"""Tiny random models of sound in directories as transformers saves them: weights and feature extractor."""

from tokenizers_made import make
from towers_made import moved
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTModel,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

RATE = 16000


def ast(folder, frames=40, bins=32, width=24):
    """AST on 32 bins of `frames` frames, with overlapping patches of 16, as the published one has."""
    size = {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = moved(ASTModel(ASTConfig(**size, **still, max_length=frames, num_mel_bins=bins)))
    model.save_pretrained(folder)
    ASTFeatureExtractor(num_mel_bins=bins, max_length=frames).save_pretrained(folder)
    return model


def whisper(folder):
    """Whisper that hears one second."""
    size = {"d_model": 24, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 48, "decoder_layers": 1,
            "decoder_attention_heads": 2, "decoder_ffn_dim": 48, "vocab_size": 50, "max_source_positions": 50}  # fmt: skip
    marks = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    model = moved(WhisperModel(WhisperConfig(**size, **marks, num_mel_bins=16)))
    model.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=16, chunk_length=1).save_pretrained(folder)
    return model


def clap(folder, padding="repeatpad", fused=False):
    """CLAP that hears one second at 16 kHz, with RoBERTa's kind of tokenizer."""
    tokens = make("roberta", folder)
    text = {"vocab_size": len(tokens), "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 48, "max_position_embeddings": 50, "pad_token_id": tokens.pad_token_id,
            "bos_token_id": tokens.bos_token_id,
            "eos_token_id": tokens.eos_token_id,
            "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}  # fmt: skip
    audio = {"num_mel_bins": 16, "spec_size": 64, "patch_size": 4, "patch_stride": [4, 4], "window_size": 4, "depths": [1, 1],
             "num_attention_heads": [2, 2], "patch_embeds_hidden_size": 12, "hidden_size": 24, "enable_fusion": fused,
             "num_hidden_layers": 2, "enable_patch_fusion": fused, "drop_path_rate": 0.0}  # fmt: skip
    model = moved(ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=20)))
    model.save_pretrained(folder)
    ClapFeatureExtractor(
        feature_size=16, sampling_rate=RATE, max_length_s=1, frequency_max=7000, padding=padding, hop_length=160,
        fft_window_size=512, truncation="fusion" if fused else "rand_trunc",
    ).save_pretrained(folder)  # fmt: skip
    return model
