"""Keys of the configs of transformers' models, tokenizers and picture preparation."""

from __future__ import annotations

from export.keys.models import EXPORT, TRAINING, Table
from export.keys.rules import Needed, NoEffect, Only, Read
from export.keys.values import COUNT, whole
from export.preprocess import FIXED

TRACED = Read("transformers' class, of which the graph is traced")
TOKENIZER = Read("transformers' class, or tokenizer.json has it already")
_OUTPUTS = NoEffect("the export asks for its outputs itself")
_GENERATION = NoEffect("of text generation alone")
_DECODING = NoEffect("of turning tokens into text")
_LABELS = NoEffect("of classification alone")
_TOKEN = whole("an integer from 0 on", 0)

_COMMON: Table = {
    "architectures": EXPORT,
    **dict.fromkeys(("model_type", "transformers_version", "name_or_path"), NoEffect("says where the config is from")),
    **dict.fromkeys(("dtype", "torch_dtype", "use_bfloat16"), NoEffect("weights have the dtype of their file")),
    **dict.fromkeys(("output_hidden_states", "output_attentions", "output_scores", "return_dict"), _OUTPUTS),
    **dict.fromkeys(("id2label", "label2id", "problem_type", "classifier_dropout", "num_labels"), _LABELS),
    **dict.fromkeys(("finetuning_task", "task_specific_params", "tf_legacy_loss", "gradient_checkpointing"), TRAINING),
    **dict.fromkeys(("chunk_size_feed_forward", "torchscript"), NoEffect("changes memory and speed, not results")),
    **dict.fromkeys(("attn_implementation", "tokenizer_class", "prefix"), NoEffect("not read by this model")),
    **dict.fromkeys(("is_encoder_decoder", "add_cross_attention", "is_decoder"), Only((False,), "not an encoder")),
    "pruned_heads": Only(({}, None), "pruned heads are not served"),
    "scale_decoder_outputs": NoEffect("the export has no decoder"),
    "tie_encoder_decoder": NoEffect("the export has no decoder"),
    "tie_word_embeddings": NoEffect("the export has no decoder"),
    **dict.fromkeys(
        (
            *("use_cache", "max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups"),
            *("diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty"),
            *("length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids"),
            *("num_return_sequences", "return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id"),
            *("remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens"),
            *("begin_suppress_tokens", "decoder_start_token_id", "sep_token_id", "cross_attention_hidden_size"),
        ),
        _GENERATION,
    ),
}
_CLIP: Table = {
    **_COMMON,
    **dict.fromkeys(("intermediate_size", "num_hidden_layers"), TRACED),
    "projection_dim": Needed(COUNT, 512),
    **dict.fromkeys(("num_attention_heads", "hidden_act", "layer_norm_eps"), TRACED),
    **dict.fromkeys(("attention_dropout", "dropout", "initializer_range", "initializer_factor"), TRAINING),
}
CLIP_TEXT: Table = {
    **_CLIP,
    "hidden_size": Needed(COUNT, 512),
    "vocab_size": Needed(COUNT, 49408),
    "max_position_embeddings": Needed(COUNT, 77),
    "eos_token_id": Needed(_TOKEN, 49407),
    **dict.fromkeys(("pad_token_id", "bos_token_id"), NoEffect("the tokenizer has its own")),
}
CLIP_VISION: Table = {
    **_CLIP,
    "num_channels": Only((3,), "pictures have three channels"),
    "hidden_size": TRACED,
    "image_size": Needed(COUNT, 224),
    "patch_size": TRACED,
}
T5: Table = {
    **_COMMON,
    **dict.fromkeys(("d_kv", "d_ff", "num_layers", "num_heads", "layer_norm_epsilon", "feed_forward_proj"), TRACED),
    **dict.fromkeys(("relative_attention_num_buckets", "relative_attention_max_distance"), TRACED),
    "d_model": Needed(COUNT, 512),
    "vocab_size": Needed(COUNT, 32128),
    "eos_token_id": Needed(_TOKEN, 1),
    **dict.fromkeys(("dropout_rate", "initializer_factor"), TRAINING),
    **dict.fromkeys(("is_gated_act", "dense_act_fn"), NoEffect("follows from feed_forward_proj")),
    **dict.fromkeys(("num_decoder_layers", "output_past", "n_positions"), NoEffect("the export has no decoder")),
    **dict.fromkeys(("pad_token_id", "bos_token_id"), NoEffect("the tokenizer has its own")),
}
TOKENIZERS: Table = {
    "pad_token": EXPORT,
    "model_max_length": EXPORT,
    **dict.fromkeys(("bos_token", "eos_token", "unk_token", "added_tokens_decoder", "vocab", "merges"), TOKENIZER),
    **dict.fromkeys(("add_prefix_space", "do_lower_case", "extra_ids", "sp_model_kwargs", "add_bos_token"), TOKENIZER),
    **dict.fromkeys(("add_eos_token", "additional_special_tokens", "extra_special_tokens"), TOKENIZER),
    **dict.fromkeys(("sep_token", "cls_token", "mask_token", "legacy", "split_special_tokens"), TOKENIZER),
    **dict.fromkeys(("errors", "clean_up_tokenization_spaces", "spaces_between_special_tokens"), _DECODING),
    "padding_side": Only(("right",), "prompts are padded on the right"),
    **dict.fromkeys(
        ("truncation_side", "padding", "truncation", "max_length", "stride", "pad_to_multiple_of", "pad_token_type_id"),
        NoEffect("prompts are padded to the encoder's length, and refused beyond it"),
    ),
    **dict.fromkeys(
        (
            *("tokenizer_class", "processor_class", "name_or_path", "tokenizer_file", "special_tokens_map_file"),
            *("use_fast", "backend", "is_local", "local_files_only", "auto_map", "device_map", "chat_template"),
            *("model_input_names", "model_specific_special_tokens", "tokenizer_type", "use_auth_token", "verbose"),
        ),
        NoEffect("says how transformers loads it"),
    ),
}
PREPROCESSOR: Table = {
    **dict.fromkeys(("size", "crop_size", "image_mean", "image_std"), EXPORT),
    **{key: Only((value,), "only CLIP's own preparation is served") for key, value in FIXED.items()},
    "do_convert_rgb": NoEffect("style pictures are RGB"),
    **dict.fromkeys(("default_to_square", "do_pad", "pad_size"), NoEffect("read with other sizes alone")),
    **dict.fromkeys(
        (
            *("image_processor_type", "feature_extractor_type", "processor_class", "data_format", "device"),
            *("return_tensors", "input_data_format", "disable_grouping", "image_seq_length", "use_square_size"),
        ),
        NoEffect("says how transformers loads it"),
    ),
}
