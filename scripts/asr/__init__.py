"""What the stages share: one noun a file, in the order in which data meets them.

errors, environment, paths, progress                      where a stage reads and writes, and what it shows meanwhile
params/, params_file, guide_flags, command, launch, monitor  how a stage starts
whisper_shape, recording, utterance, text, labels         what passes from stage to stage
truncation, audio                                         recordings of any kind, decoded
sentences, espeak, synthesis                              a corpus from nothing
corpora/, cuts, checks, slices, pool, cluster             from a corpus's own form to checked utterances
duplicates, tally, leaks, shards, card/, nemo_manifests   from checked utterances to a data set
hub, vocabulary, new_model, model, domain_tokens          the model and its tokens
optimizer, quantized, trainable, base                      which weights are trained, how, and beside which others
companion, average, ranks, adapter, chosen_layers          the ways to train a part, and what they keep
features, windows, batches                                from utterances to what the encoder hears and the decoder learns
loss, ctc, guided_attention, sampled_vocabulary, scoring  what training minimises, and what judges it
trainer, checkpoints, callbacks, stopping, training       from windows to weights
transcription, gates, report, lineage                     from weights to transcripts, figures and provenance
"""
