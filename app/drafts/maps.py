"""A draft that teaches pictures from maps: pairs to train with, and pairs to judge by."""

from __future__ import annotations

from app import words
from app.drafts import pairs
from app.drafts.content import Content, no_name
from app.drafts.problem import Problem
from evaluation.maps import segmentor
from training.base import controlnet, models
from training.errors import BadInput, MissingModel
from training.maps import dataset, intake

FEW = 8  # pairs; with fewer a map's classes are hardly met twice


class Maps(Content):
    """Pairs of pictures and maps."""

    def gaps(self, draft):
        seen, found = draft.seen, []
        if not seen.all:
            told = "There are no pairs yet. Drop pictures and their maps, or a zip of both, or try the sample set."
            found.append(Problem("pairs", told))
        elif not seen.taught and seen.judged:
            found.append(Problem("pairs", "No pair is left to train with. Drop more, or hold fewer out."))
        elif not seen.taught and not pairs.asks_numbers(seen):
            found.append(Problem("pairs", "None of the pairs can be used as it is. What is wrong stands with each."))
        elif seen.taught and not seen.judged:
            told = "No pair is held out, so nothing could be judged. Drop some for that, or split off one at least."
            found.append(Problem("held_out", told))
        return found + no_name(draft)

    def faults(self, draft):
        open_ = len(pairs.asks_numbers(draft.seen))
        told = f"Say what the numbers of {words.counted(open_, 'grey map')} mean."
        return [Problem("pairs", told)] if open_ else []

    def misfits(self, data, spec, caps):
        looks = {"segmentor": lambda: segmentor.check(spec.segmentor, data)}
        if spec.protocol == "frozen-controlnet":
            unet = models.configs(spec.base, data)["unet"]
            looks["controlnet"] = lambda: controlnet.inspect(spec.controlnet, unet, caps.vae_factor, data)
        found = []
        for field, look in looks.items():
            try:
                look()
            except (BadInput, MissingModel) as error:
                error.field = field
                found.append(error)
        return found

    def warnings(self, draft, caps):
        seen, found = draft.seen, []
        if seen.unusable and seen.taught:
            told = f"{words.counted(seen.unusable, 'pair is', 'pairs are')} left out, for what stands with each."
            found.append(Problem("pairs", told))
        if 0 < len(seen.taught) < FEW:
            told = f"{words.counted(len(seen.taught), 'pair')} to train with is little: a class must be met often."
            found.append(Problem("pairs", told))
        return found

    def completed(self, draft):
        return draft.changed(name=draft.name.strip() or "it")

    def values(self, draft):
        typed = str(draft.settings.get("held_out", "")).strip()
        return {"held_out": max(1, len(draft.seen.judged))} if not typed or typed.isdecimal() else {}

    def prepare(self, draft, folder, size):
        seen, answers = draft.seen, draft.pairs.answers
        for name, checked in ((dataset.TRAINING, seen.taught), (dataset.HELD_OUT, seen.judged)):
            intake.prepare(checked, folder / name, size, answers)
        return {name: folder / name for name in (dataset.TRAINING, dataset.HELD_OUT)}
