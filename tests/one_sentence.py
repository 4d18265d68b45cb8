"""A Whisper that says one sentence whatever it hears, for the stages that transcribe."""

import torch


def teach(model, tokenizer, sentence: str) -> None:
    """Teach the decoder one sentence, with timestamps and without, so that it stops: whatever it hears, it says this."""
    control = [[50258, 50261, 50359, 50363], [50258, 50261, 50359]]
    text = tokenizer.encode(sentence, add_special_tokens=False)
    start, end, stop = 50364, 50364 + 30, 50257
    taught = [[*control[0], *text, stop, stop, stop], [*control[1], start, *text, end, stop]]
    width = max(map(len, taught))
    taught = torch.tensor([row + [stop] * (width - len(row)) for row in taught])
    labels = taught[:, 1:].clone()
    labels[:, :2] = -100
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(120):
        heard = torch.randn(2, 4, model.config.d_model)  # in place of what the encoder says
        logits = model(encoder_outputs=(heard,), decoder_input_ids=taught[:, :-1]).logits
        torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels).backward()
        optimiser.step()
        optimiser.zero_grad()
