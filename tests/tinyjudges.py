"""Judges for tests: random weights of tiny width in the layouts of the real DINO and CLIP, and pictures to score."""

WORDS = "a red blue green dog cat car in the snow on beach forest city of photo".split()


def clip(folder, seed=0):
    """A random CLIPModel folder with tokenizer and preprocessor config, some kilobytes."""
    import torch
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    from training.pretrain.tokenizer import build_tokenizer

    tokenizer = build_tokenizer(WORDS, ["sks"])
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**tower, **ids, "vocab_size": len(tokenizer), "max_position_embeddings": 32}
    vision = {**tower, "image_size": 32, "patch_size": 8}
    torch.manual_seed(seed)
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def dino(folder, seed=1):
    """A random ViTModel folder with preprocessor config, some kilobytes."""
    import torch
    from transformers import ViTConfig, ViTModel
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    torch.manual_seed(seed)
    config = ViTConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8
    )
    ViTModel(config, add_pooling_layer=False).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def noise_pictures(count, seed, size=(40, 40)):
    """`count` pictures of random pixels around a random colour."""
    import numpy as np
    from PIL import Image

    draw = np.random.default_rng(seed)
    shape = (size[1], size[0], 3)
    colours = draw.integers(40, 215, (count, 1, 1, 3))
    return [Image.fromarray((c + draw.integers(-40, 40, shape)).clip(0, 255).astype("uint8")) for c in colours]
