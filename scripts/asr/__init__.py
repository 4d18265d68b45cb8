"""What the stages share: one noun a file, in the order in which data meets them (imports point up the list).

command, environment, params, paths      how a stage starts and where it reads and writes
utterance, corpora/, audio, text         from a corpus's own form to checked utterances
features, labels, windows                from utterances to what the encoder hears and the decoder is taught
model, training                          from windows to weights
transcription, scoring, report, lineage  from weights to transcripts, figures and provenance
"""
