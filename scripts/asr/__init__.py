"""What the stages share: one noun a file, in the order in which data meets them.

errors, environment, paths, progress                      where a stage reads and writes, and what it shows meanwhile
params/, params_file, command, launch, monitor            how a stage starts
whisper_shape, recording, utterance, text, labels         what passes from stage to stage
truncation, audio                                         recordings of any kind, decoded
sentences, espeak, synthesis                              a corpus from nothing
corpora/, cuts, checks, slices, pool, cluster             from a corpus's own form to checked utterances
duplicates, tally, leaks, shards, card/, nemo_manifests   from checked utterances to a data set
vocabulary, new_model, model, adapter                     the model and its tokens
features, windows, batches                                from utterances to what the encoder hears and the decoder learns
loss, ctc, guided_attention, sampled_vocabulary, scoring  what training minimises, and what judges it
processes, checkpoints, interruption, non_finite, sharded what a training must not lose
watchdog, safe_trainer, trainer, callbacks, training, probe  from windows to weights
transcription, gates, report, lineage                     from weights to transcripts, figures and provenance
"""
