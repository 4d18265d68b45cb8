"""`params.yaml`, typed: one class a section, named like the stage, one sentence a field.

`asr/params_file.py` puts them together and reads the file. What one section can tell is checked here, for flags too;
what takes two, there.
"""

from asr.params.corpora import CORPORA
from asr.params.data import BaseModel, ExtractFeatures, PrepareAudio, PseudoLabel, SampleSpeech
from asr.params.exports import ConvertToFaster, ConvertToGgml, ConvertToOnnx, Evaluation, Exports, Gate, MergeLora
from asr.params.section import Group, Section
from asr.params.training import FinetuneWhisper, TrainGermanModel, TrainingSection

__all__ = [
    "CORPORA",
    "BaseModel",
    "ConvertToFaster",
    "ConvertToGgml",
    "ConvertToOnnx",
    "Evaluation",
    "Exports",
    "ExtractFeatures",
    "FinetuneWhisper",
    "Gate",
    "Group",
    "MergeLora",
    "PrepareAudio",
    "PseudoLabel",
    "SampleSpeech",
    "Section",
    "TrainGermanModel",
    "TrainingSection",
]
