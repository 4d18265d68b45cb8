"""transformers' trainer, fed by planned windows: what Whisper needs of it that it does not do by itself.

The loss is a mean over the tokens of the *global* batch. transformers 5 believes that Whisper's own loss does that and
skips its division by the accumulation steps, so that gradients grow with them.
"""

import torch
from torch.utils.data import DataLoader

from asr.batches import WindowDataset
from asr.features import FeatureCache
from asr.interruption import outlive_sigterm
from asr.labels import IGNORED, Labeler
from asr.safe_trainer import SafeTrainer
from asr.scoring import score
from asr.whisper_shape import MAX_TOKENS
from asr.windows import RankBatches, Window

NOT_GENERATED_FROM = ("label_seconds", "step", "ids")  # what a batch holds for the loss alone


class WhisperTrainer(SafeTrainer):
    """`SafeTrainer` fed by planned windows, with an evaluation that decodes each row in its own language."""

    def __init__(self, *, batches: RankBatches, labeler: Labeler, **kwargs):
        super().__init__(compute_metrics=self._error_rates, **kwargs)
        self.loss_is_scaled_for_ga = True  # by compute_loss: Trainer must not divide by the accumulation steps again
        self._batches, self.labeler = batches, labeler

    def get_train_dataloader(self) -> DataLoader:
        """Batches of this rank; not `accelerator.prepare`d, since the plan has dealt them out already."""
        return DataLoader(
            self.train_dataset,
            batch_sampler=self._batches,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            worker_init_fn=outlive_sigterm,
            persistent_workers=self.args.dataloader_num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The model's mean over the labels of this micro-batch, weighed by its share of the global batch's labels."""
        ids = inputs.pop("ids", None)
        outputs = model(**inputs)
        share = inputs["labels"].ne(IGNORED).sum() / num_items_in_batch
        # Gradients are averaged over processes, where they should be added up.
        loss = outputs.loss * share * self.args.world_size
        self.note_loss(ids, loss)
        return (loss, outputs) if return_outputs else loss

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None, **_):
        """Decode each row in the language that its labels name."""
        languages = [self.labeler.language_of(token) for token in inputs["labels"][:, 0].tolist()]
        given = {name: value for name, value in inputs.items() if name not in NOT_GENERATED_FROM}
        return super().prediction_step(
            model,
            given,
            prediction_loss_only,
            ignore_keys,
            language=languages,
            task="transcribe",
            max_new_tokens=_longest_hypothesis(inputs["labels"].shape[1]),
        )

    def _error_rates(self, prediction) -> dict[str, float]:
        references, hypotheses = [], []
        # Processes fill up the last batch with rows that they have had already: only the first count.
        for _, said, labels in zip(
            self.eval_dataset.windows, prediction.predictions, prediction.label_ids, strict=False
        ):
            labels = labels.tolist()
            # Cut to the row's own limit, so that its hypothesis does not depend on its neighbours in the batch. What
            # stands behind a row's end is padding: -100 by the collator, the end again by the trainer.
            limit = _longest_hypothesis(labels.index(self.labeler.end) + 1)
            references.append(self.labeler.decode(labels))
            hypotheses.append(self.labeler.decode(said[:limit].tolist()))
        rates = score(references, hypotheses)
        return {"wer": rates["wer"], "cer": rates["cer"]}


def _longest_hypothesis(labels: int) -> int:
    """Tokens that a row with so many labels may be decoded to: a model that rambles is stopped."""
    return min(labels * 3 // 2 + 8, MAX_TOKENS - 8)


class EvaluationSet(WindowDataset):
    """Windows of dev utterances, numbered, as the trainer's sequential evaluation asks for them."""

    def __init__(self, cache: FeatureCache, labeler: Labeler, windows: list[Window]):
        super().__init__(cache, labeler)
        self.windows = windows

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict:
        return super().__getitem__(self.windows[index])
