"""Speech synthesis by espeak-ng: a text, a voice, a rate and a pitch to samples.

    espeak = Espeak()
    samples = espeak.speak("Guten Morgen!", voice="de+f3", words_per_minute=150, pitch=60)   # int16, 22,050 Hz

The library and its voices come with the package `espeakng_loader`; nothing has to be installed on the system. A voice
is a language and a variant of `espeak-ng-data/voices/!v`, such as "de+f3".
"""

import _ctypes
import ctypes
import tempfile
from pathlib import Path

import espeakng_loader
import numpy as np

from asr.errors import UserError

SAMPLE_RATE = 22_050  # Hz, of every voice used here

# Variants that speak clearly. Of the 104 in the package those are left out that are whispers (whisper, whisperf),
# robots, monsters or croaks (robosoft*, *Robot, klatt*, Demonic, croak, zac, RicishayMax*), more than a tenth slower or
# faster than the rate asked for (Marco, AnxiousAndy, Alicia, Andrea, antonio, anika, pedro), distorted by clipping (iven,
# Jacky), a test of espeak-ng's own (fast), or of whose speech silero's voice activity detection, which faster-whisper runs
# on long recordings, takes less than four fifths for speech in one of six sentences (caleb, Michael, gustave, quincy,
# announcer).
VARIANTS = (
    *("Alex", "Andy", "Annie", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Lee", "Mario", "Mike"),
    *("Mr serious", "Nguyen", "Reed", "Storm", "Tweaky", "adam", "aunty", "belinda", "benjamin", "boris", "david"),
    *("ed", "edward", "edward2", "f1", "f2", "f3", "f4", "f5", "grandma", "grandpa", "ian", "iven2", "iven3", "iven4"),
    *("john", "kaukovalta", "linda", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "marcelo", "max", "michel"),
    *("miguel", "mike2", "norbert", "pablo", "paul", "rob", "robert", "sandro", "shelby", "steph", "steph2", "steph3"),
    *("travis", "victor"),
)

# Values of espeak-ng's speak_lib.h.
_OUTPUT_SYNCHRONOUS, _DONT_EXIT, _UTF8 = 2, 0x8000, 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_LONGEST_PATH = 120  # characters; espeak-ng cuts longer ones (N_PATH_HOME, 160) and then looks where it was compiled


class Espeak:
    """The synthesiser. What `speak` returns depends on its arguments alone, not on what was said before.

    espeak-ng keeps phases, filters and noise between calls, even over espeak_Terminate, and offers no reset. So each
    call loads the library afresh and unloads it again, which costs 2 ms. Not for several threads at once.
    """

    def __init__(self):
        data = Path(espeakng_loader.get_data_path())
        self._link = None
        if len(str(data)) > _LONGEST_PATH:
            self._link = tempfile.TemporaryDirectory(prefix="espeak")
            link = Path(self._link.name) / data.name
            link.symlink_to(data)
            data = link
        self._data_home = str(data.parent).encode()
        self._variants = {file.name for file in (data / "voices" / "!v").iterdir()}

    def speak(self, text: str, voice: str, words_per_minute: int, pitch: int, intonation: int = 50) -> np.ndarray:
        """`text` spoken by `voice`: int16 [samples] at `SAMPLE_RATE`.

        Args:
            voice: a language and a variant, "de+f3".
            words_per_minute: espeak-ng's rate, 80 to 450.
            pitch: 0 to 100 around the voice's own base, which is 50.
            intonation: range of the pitch, 0 (monotone) to 100.

        Raises:
            UserError: no such voice.
        """
        _, _, variant = voice.partition("+")
        if variant and variant not in self._variants:  # espeak-ng would speak without the variant
            raise UserError(f"voice {voice!r}: espeak-ng has no such variant, only {', '.join(sorted(self._variants))}")
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        chunks: list[np.ndarray] = []

        @_CALLBACK
        def collect(samples, count, _events):
            if samples and count:
                chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
            return 0

        try:
            if library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, self._data_home, _DONT_EXIT) != SAMPLE_RATE:
                raise UserError(f"{self._data_home.decode()}: espeak-ng finds no data; reinstall espeakng-loader")
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else the time of day: breath is noise
            ctypes.CDLL(None).srand(1)  # of the C library, from which its Klatt synthesiser (Reed) draws
            library.espeak_SetSynthCallback(collect)
            if library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise UserError(f'voice {voice!r}: espeak-ng does not speak this language; German is "de"')
            parameters = {_RATE: words_per_minute, _VOLUME: 100, _PITCH: pitch, _RANGE: intonation}
            for parameter, value in parameters.items():
                library.espeak_SetParameter(parameter, value, 0)
            encoded = text.encode() + b"\0"
            library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded)), 0, 0, 0, _UTF8, None, None)
        finally:
            library.espeak_Terminate()
            _ctypes.dlclose(library._handle)
        return np.concatenate(chunks) if chunks else np.zeros(0, np.int16)
