"""What the stages share: one noun a file, in the order in which data meets them.

errors, environment, paths, progress                      where a stage reads and writes, and what it shows meanwhile
params/, params_file, guide_flags, command                a stage's parameters, and how it starts
launch, process_group, monitor                            its processes, and what starts and ends with them
whisper_shape, recording, utterance, text, labels         what passes from stage to stage
truncation, audio                                         recordings of any kind, decoded
sentences, espeak, synthesis                              a corpus from nothing
corpora/, cuts, checks, slices, pool, cluster             from a corpus's own form to checked utterances
duplicates, tally, leaks, shards, card/, nemo_manifests   from checked utterances to a data set
hub, vocabulary, english, new_model, whole_weights         the model
model, short_context, domain_tokens                       its windows and its tokens
optimizer, quantized, trainable, base                     which weights are trained, how, and beside which others
companion, average, ranks, adapter, chosen_layers, adapted  the ways to train a part, and what they keep
features, augmentation, no_speech, prompts                what is heard of utterances, and what may be changed of it
windows, draws, plan, sound, batches, selection           from utterances to what each step trains on
label_laws, lint                                          what all of that must satisfy
loss, ctc, guided_attention, sampled_vocabulary           what training minimises
normaliser, compounds, scoring, intervals                 what judges it
text_pairs, judged_files, word_errors                     and any other recogniser
processes, checkpoints, interruption, non_finite, sharded  what a training must not lose
watchdog, safe_trainer, trainer                           the loop that loses nothing
training_settings, callbacks, stopping, training, probe   from windows to weights
exportable, weights, ggml, onnx_graphs, onnx_export       from weights to the forms of other engines
decoding, transformers_engine, faster_engine              from weights to transcripts
libwhisper, whisper_cpp, onnx_engine                      by any engine
heard, parity                                             what proves an export
judged, hearing, pseudo_labels, silence, forgetting       what is written where somebody speaks, and where nobody does
judging, test_sets, seen_in_training, gates               from transcripts to figures
stream, voice_activity, pieces, segments, engines/        recordings of any length, by any engine
transcriptions, long_form, transcripts                    and what is said in them, as files
report, page/, evaluation_page, dvc_lock, lineage         what is told of them
model_card, export_cards, model_copies                    and what travels with them
"""
