"""Does the exported file do elsewhere what the adapter does here? Asked of diffusers' own loader, not of our writer."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

STEPS = 4


@dataclass(frozen=True)
class LoadBack:
    """What the check measured.

    Attributes:
        unet_difference: max |y - y'| / max |y| of the UNet's output for one noise, timestep and prompt.
        picture_difference: largest difference of two pictures drawn from one seed, their pixels in 0..1.
        checked: when, ISO 8601 with the time zone.
    """

    file: str
    unet_difference: float
    picture_difference: float
    checked: str

    def to_dict(self) -> dict:
        """Ready for JSON."""
        return asdict(self)

    @property
    def words(self) -> str:
        """The sentence beside the download."""
        return (
            f"Checked {self.checked[11:16]}: loaded back by diffusers' own loader, it drew the same picture "
            f"(largest difference {self.picture_difference:.0e})."
        )


def load_back(
    base, adapter, path: Path, *, prompt: str, seed: int = 0, strength: float = 1.0, also: Sequence = ()
) -> LoadBack:
    """Draw with the attached `adapter` and with the LoRA file at `path` loaded by stock diffusers, and compare.

    The adapter stays attached with the strength it had; the file's LoRA is taken off again.

    Args:
        base: the `BaseModel` that `adapter` is attached to.
        strength: of the adapter in the file.
        also: further attached adapters that the file holds, each at the strength that it has.
    """
    import torch

    pipe = base.pipeline()
    before = {each: each.strength for each in (adapter, *also)}
    try:
        adapter.strength = strength
        ours, our_picture = _drawn(pipe, prompt, seed)
        for each in before:
            each.strength = 0.0  # from here on the UNet is the base model, bit for bit
        pipe.load_lora_weights(str(path.parent), weight_name=path.name, local_files_only=True)
        theirs, their_picture = _drawn(pipe, prompt, seed)
    finally:
        pipe.unload_lora_weights()
        for each, value in before.items():
            each.strength = value
    return LoadBack(
        file=path.name,
        unet_difference=float((ours - theirs).abs().max() / ours.abs().max()),
        picture_difference=float(torch.as_tensor(our_picture - their_picture).abs().max()),
        checked=datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def _drawn(pipe, prompt: str, seed: int):
    """The UNet's output for fixed inputs (1, c, h, w) in float64, and a picture (h, w, 3) in 0..1."""
    import torch

    unet, device = pipe.unet, pipe.unet.device
    edge = unet.config.sample_size
    noise = torch.randn((1, unet.config.in_channels, edge, edge), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        text, _ = pipe.encode_prompt(prompt, device, 1, False)
        output = unet(noise.to(device, unet.dtype), torch.tensor(500, device=device), text).sample
        generator = torch.Generator().manual_seed(seed)
        picture = pipe(prompt, num_inference_steps=STEPS, generator=generator, output_type="np").images[0]
    return output.double().cpu(), picture
