"""German sentences from a grammar: everyday voice commands and questions, and a second domain, the kitchen.

    sentences = Sentences(GENERAL, seed=1)
    sentences.draw()                     # "Stelle die Heizung im Wohnzimmer auf zwanzig Grad."

Numbers are words, so that the text is what a voice says. `.`, `?` and `!` stand only at the end of a sentence, so a
transcript of several sentences can be divided again (`split_sentences`).
"""

import random
import re

GENERAL = {
    "sentence": """
        Schalte bitte {device} {room} {switch}. | Mach {device} {room} wieder {switch}. |
        Ist {device_nominative} {room} noch an? | Stelle die Heizung {room} auf {number} Grad. |
        Dimme die Lampe {room} auf {number} Prozent. | {Open} bitte {opening} {room}. |
        Wie {warm} ist es {day} {room}? | {day} ist es {room} zu {warm}. |
        Stelle den Wecker {day} auf {time}. | Wecke mich {day} um {time}. | Stelle einen Timer auf {number} Minuten. |
        Erinnere mich {day} an {event}. | Erinnere {name} {day} an {event}. | Lösche {event} um {time}. |
        Wie viele Minuten sind es bis {time}? | Was steht {day} um {time} im Kalender? |
        Trage {event} um {time} ein. | Verschiebe {event} mit {name} auf {time}. |
        Spiele {mood} Musik {room}. | Spiele {day} {mood} Musik für {name}. | Mach die Musik {room} {louder}. |
        Stelle die Lautstärke {room} auf {number}. | Welches Lied hört {name} {day}? |
        Wie komme ich {day} {goal}? | Wie weit ist es {goal} {means}? | Fahre {day} {means} {goal}. |
        Biege nach {number} Metern {direction} ab. | Wann fährt {day} der nächste {train} {goal}? |
        Der letzte {train} {goal} kommt um {time}. | Wie wird das Wetter {day} in {city}? | {Weather} {day} in {city}? |
        Wie viel ist {number} plus {number}? | Wie viel ist {number} minus {number}? |
        Rufe bitte {name} {day} an. | Sage {name}, ich komme um {time}. | {name} kommt {day} mit {name}.""",
    "device": "das Licht | die Lampe | das Radio | den Fernseher",
    "device_nominative": "das Licht | die Lampe | das Radio | der Fernseher",
    "switch": "an | aus",
    "room": "in der Küche | im Wohnzimmer | im Bad | im Flur | in der Garage | auf dem Balkon | oben",
    "Open": "Öffne | Schließe",
    "opening": "das Fenster | die Tür",
    "warm": "warm | kalt | dunkel",
    "day": "heute | morgen | übermorgen | heute Abend | am Montag | am Mittwoch | am Samstag | nächste Woche",
    "hour": "zwei | drei | vier | fünf | sechs | sieben | acht | neun | zehn | elf | zwölf",
    "time": "{hour} Uhr | {hour} Uhr | halb {hour} | Viertel nach {hour} | Viertel vor {hour} | {hour} Uhr dreißig",
    "number": "{hour} | zwanzig | dreißig | vierzig | fünfzig | siebzig | hundert",
    "event": "den Termin | den Geburtstag | die Prüfung | das Treffen",
    "name": "Anna | Jürgen | Björn | Sophie | Thomas",
    "mood": "ruhige | fröhliche",
    "louder": "lauter | leiser",
    "city": "Köln | München | Berlin | Hamburg | Düsseldorf",
    "goal": "zum Bahnhof | zur Schule | nach Hause | ins Museum | nach {city} | nach {city}",
    "means": "zu Fuß | mit dem Fahrrad | mit dem Auto",
    "direction": "links | rechts",
    "train": "Zug | Bus",
    "Weather": "Schneit es | Scheint die Sonne | Regnet es",
}

KITCHEN = {
    "sentence": """
        Schneide {vegetable} in {fine} {pieces}. | Hacke {vegetable} für {dish} in {fine} {pieces}. |
        Gib {amount} {ingredient} in {vessel}. | Rühre {amount} {ingredient} unter den Teig. |
        Koche {vegetable} und {spice} {minutes} Minuten. | Wie viel {ingredient} braucht {dish}? |
        Würze {dish} mit {spice} und {spice}. | Brate {vegetable} in etwas {ingredient} an. |
        Setze {ingredient} und {spice} auf die Einkaufsliste. | Ersetze {ingredient} durch {ingredient}. |
        Wie lange muss {dish} {cook}? | Haben wir genug {ingredient} und {spice}? | Schäle {vegetable} für {dish}. |
        Mische {amount} {ingredient} mit {spice}. | Lass {dish} {minutes} Minuten {cook}. |
        Verteile {vegetable} und {spice} über {dish}. | Serviere {dish} mit {ingredient} und {spice}. | Wiege {amount} {ingredient} ab.""",
    "vegetable": """die Zwiebeln | die Möhren | die Kartoffeln | die Tomaten | die Äpfel | die Gurken | die Pilze |
        die Bohnen | die Nüsse""",
    "fine": "feine | dünne | grobe",
    "pieces": "Würfel | Scheiben | Streifen",
    "amount": "zweihundert Gramm | dreihundert Gramm | einen Löffel | zwei Löffel | eine Tasse | drei Tassen",
    "ingredient": "Mehl | Zucker | Butter | Milch | Sahne | Käse | Reis | Öl | Joghurt | Honig",
    "spice": "Salz | Pfeffer | Knoblauch | Zimt | Petersilie | Paprika | Senf | Essig",
    "vessel": "den Topf | die Pfanne | die Schüssel",
    "dish": "die Suppe | die Soße | das Gemüse | das Hähnchen | das Gulasch | die Füllung | die Pizza",
    "cook": "kochen | backen | ruhen | schmoren",
    "minutes": "fünf | zehn | zwanzig | dreißig | vierzig",
}

_SLOT = re.compile(r"\{(\w+)\}")


class Sentences:
    """A seeded source of sentences of one grammar: `sentence` and its slots, alternatives divided by `|`.

    Alternatives are dealt like cards, each once before any comes again, so rare words stay as frequent as their
    siblings. The same seed gives the same sentences in the same order.
    """

    def __init__(self, grammar: dict[str, str], seed: int | str):
        self._alternatives = {slot: [" ".join(a.split()) for a in text.split("|")] for slot, text in grammar.items()}
        self._decks: dict[str, list[str]] = {slot: [] for slot in grammar}
        self._random = random.Random(f"sentences {seed}")

    def draw(self) -> str:
        """The next sentence: capital letter first, one of `. ? !` last."""
        text = self._expand("sentence")
        return text[0].upper() + text[1:]

    def _expand(self, slot: str) -> str:
        deck = self._decks[slot]
        if not deck:
            deck.extend(self._alternatives[slot])
            self._random.shuffle(deck)
        return _SLOT.sub(lambda match: self._expand(match[1]), deck.pop())


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return re.findall(r"\w+", text.lower())


def split_sentences(text: str) -> list[str]:
    """The sentences of a transcript, each with its end punctuation; text after the last mark is one more."""
    return [sentence.strip() for sentence in re.findall(r"[^.?!]+[.?!]*", text) if sentence.strip()]
