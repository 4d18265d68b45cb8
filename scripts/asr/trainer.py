"""transformers' trainer, fed by planned windows: what Whisper needs of it that it does not do by itself.

The loss is a mean over the tokens of the *global* batch. transformers 5 believes that Whisper's own loss does that and
skips its division by the accumulation steps, so that gradients grow with them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from asr.batches import WindowDataset
from asr.checkpoints import last_whole_checkpoint
from asr.companion import Companion
from asr.features import FeatureCache
from asr.interruption import outlive_signals
from asr.labels import IGNORED, Labeler
from asr.normaliser import Normaliser, profile_of
from asr.optimizer import set_rates
from asr.prompts import Prompts
from asr.safe_trainer import SafeTrainer
from asr.scoring import Scored, score_utterance
from asr.whisper_shape import MAX_TOKENS
from asr.windows import RankBatches, Window

NOT_GENERATED_FROM = ("label_seconds", "step", "ids")  # what a batch holds for the loss alone


class WhisperTrainer(SafeTrainer):
    """`SafeTrainer` fed by planned windows, with an evaluation that decodes each row in its own language."""

    def __init__(
        self,
        *,
        batches: RankBatches,
        labeler: Labeler,
        rates: Mapping[str, float] | None = None,
        companions: Sequence[Companion] = (),
        callbacks: Sequence = (),
        **kwargs,
    ):
        super().__init__(compute_metrics=self._error_rates, callbacks=[*companions, *callbacks], **kwargs)
        self._rates, self._companions = rates or {}, companions
        self.loss_is_scaled_for_ga = True  # by compute_loss: Trainer must not divide by the accumulation steps again
        self._batches, self.labeler = batches, labeler

    def get_train_dataloader(self) -> DataLoader:
        """Batches of this rank; not `accelerator.prepare`d, since the plan has dealt them out already."""
        return DataLoader(
            self.train_dataset,
            batch_sampler=self._batches,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            worker_init_fn=outlive_signals,
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

    def train_on(self) -> None:
        """As ever; where no checkpoint is the best, since it was lost and none came after it, the last one is delivered."""
        super().train_on()
        if self.state.best_model_checkpoint is None and (last := last_whole_checkpoint(Path(self.args.output_dir))):
            for companion in self._companions:
                companion.deliver(last)

    def create_optimizer(self, model=None):
        """Trainer's, with a learning rate for each part that has its own."""
        made = self.optimizer is None
        optimizer, trained = super().create_optimizer(model), self.model if model is None else model
        if made and (self._rates or any(hasattr(weight, "trained_rows") for weight in trained.parameters())):
            set_rates(optimizer, trained, self._rates)
        return optimizer

    def evaluate(self, *args, **kwargs):
        with ExitStack() as stack:
            for companion in self._companions:
                stack.enter_context(companion.judging())
            return super().evaluate(*args, **kwargs)

    def _save(self, output_dir=None, state_dict=None):
        with self._storing():
            super()._save(output_dir, state_dict)
        if self.args.should_save:
            for companion in self._companions:
                companion.save(Path(output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        with self._storing():
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        for companion in self._companions:
            companion.resume(Path(resume_from_checkpoint))

    def _load_best_model(self):
        with self._storing():
            super()._load_best_model()
        for companion in self._companions:
            companion.deliver(Path(self.state.best_model_checkpoint))

    def _storing(self) -> ExitStack:
        stack = ExitStack()
        for companion in self._companions:
            stack.enter_context(companion.storing())
        return stack

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None, **_):
        """Decode each row in the language that its labels name, after the prompt that it has."""
        prompts = [tuple(row[: row.index(self.labeler.start)]) for row in inputs["decoder_input_ids"].tolist()]
        steps = {}
        for prompt in sorted(set(prompts)):  # `generate` takes one for all that it decodes
            rows = [i for i, other in enumerate(prompts) if other == prompt]
            part = {name: value[rows] for name, value in inputs.items() if isinstance(value, torch.Tensor)}
            steps |= dict(zip(rows, self._decoded(model, part, prompt, prediction_loss_only, ignore_keys), strict=True))
        loss, said, labels = zip(*(steps[i] for i in range(len(prompts))), strict=True)
        return torch.stack(loss).mean(), pad_sequence(said, True, self.labeler.end), torch.stack(labels)

    def _decoded(self, model, inputs, prompt, prediction_loss_only, ignore_keys) -> Iterator[tuple]:
        """Loss, hypothesis and labels of each row."""
        taught = inputs["labels"][:, len(prompt) :]
        given = {name: value for name, value in inputs.items() if name not in NOT_GENERATED_FROM}
        told = {"prompt_ids": torch.tensor(prompt, device=taught.device)} if prompt else {}
        loss, said, labels = super().prediction_step(
            model,
            given,
            prediction_loss_only,
            ignore_keys,
            language=[self.labeler.language_of(token) for token in taught[:, 0].tolist()],
            task="transcribe",
            max_new_tokens=min(_longest_hypothesis(taught.shape[1]), MAX_TOKENS - 8 - len(prompt)),
            **told,
        )
        return zip(loss.expand(len(labels)), said, labels, strict=True)

    def _error_rates(self, prediction) -> dict[str, float]:
        counted = Scored()
        # Processes fill up the last batch with rows that they have had already: only the first count.
        for language, said, labels in zip(
            self.eval_dataset.languages, prediction.predictions, prediction.label_ids, strict=False
        ):
            labels = [label for label in labels.tolist() if label != IGNORED]
            # Cut to the row's own limit, so that its hypothesis does not depend on its neighbours in the batch. What
            # stands behind a row's end is padding, the end again by the trainer.
            limit = _longest_hypothesis(labels.index(self.labeler.end) + 1)
            texts = self.labeler.decode(labels), self.labeler.decode(said[:limit].tolist())
            counted += score_utterance(*texts, Normaliser.of(profile_of(language)))
        return {"wer": counted.words.rate, "cer": counted.characters.rate}


def _longest_hypothesis(labels: int) -> int:
    """Tokens that a row with so many labels may be decoded to: a model that rambles is stopped."""
    return min(labels * 3 // 2 + 8, MAX_TOKENS - 8)


class EvaluationSet(WindowDataset):
    """Windows of dev utterances, numbered, as the trainer's sequential evaluation asks for them."""

    def __init__(self, cache: FeatureCache, labeler: Labeler, windows: list[Window], prompts: Prompts):
        super().__init__(cache, labeler, prompts)
        self.windows = windows
        self.languages = [cache.row(window.parts[0].utterance)["language"] for window in windows]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict:
        return super().__getitem__(self.windows[index])
