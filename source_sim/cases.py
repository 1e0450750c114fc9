"""What happens on a visit in the simulated country? A small table of cases, told as a covering doctor would note them.

It knows complaints, codes and words of our own. It may not know any FHIR, nor who the patient is. Diagnosis, substance
and observation codes are real (ICPC-1, ATC, LOINC); product numbers of the medicines are made up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from source_sim.population import Complaint, Drug, Measurement


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement of a visit."""

    kind: Measurement
    value: Decimal


@dataclass(frozen=True, slots=True)
class Case:
    """One contact: what was found, and what was done. `drug` is prescribed for `course`; `advice` is what the patient
    was told; `length` is how long the contact took."""

    complaint: Complaint
    length: timedelta
    measured: tuple[Measured, ...] = ()
    drug: Drug | None = None
    course: timedelta = timedelta(0)
    advice: str = ""


_TEMPERATURE: Final = Measurement("8310-5", "Lichaamstemperatuur", "Cel", 350, 410, Decimal("0.1"))
_PULSE: Final = Measurement("8867-4", "Hartfrequentie", "/min", 50, 140, Decimal("1"))
_SATURATION: Final = Measurement("59408-5", "Zuurstofsaturatie", "%", 85, 100, Decimal("1"))
_GLUCOSE: Final = Measurement("14749-6", "Glucose", "mmol/L", 15, 250, Decimal("0.1"))

NITROFURANTOIN: Final = Drug(
    "J01XE01", "Nitrofurantoïne capsule mga 100 mg", "2 keer per dag 1 capsule, 5 dagen", 108, Decimal("1")
)
PARACETAMOL: Final = Drug(
    "N02BE01", "Paracetamol tablet 500 mg", "4 keer per dag 2 tabletten, 5 dagen", 109, Decimal("2")
)

CYSTITIS: Final = Case(
    Complaint(
        "U71",
        "Blaasontsteking",
        (
            "Sinds vanmiddag pijn bij het plassen en kleine beetjes. Geen koorts, geen pijn in de flank.",
            "Niet ziek. Buik soepel, geen slagpijn in de nierloge. Urine: nitriet positief.",
            "Blaasontsteking zonder tekenen van weefselinvasie.",
            "Nitrofurantoïne voor vijf dagen; bij koorts of aanhouden na drie dagen naar de eigen huisarts.",
        ),
    ),
    timedelta(minutes=15),
    (Measured(_TEMPERATURE, Decimal("37.2")), Measured(_PULSE, Decimal("84"))),
    NITROFURANTOIN,
    timedelta(days=5),
    "Veel drinken, de kuur afmaken, en bellen bij koorts, rillingen of pijn in de zij.",
)
"""What a GP post sees on a Saturday night."""

BROKEN_WRIST: Final = Case(
    Complaint(
        "L72",
        "Fractuur radius/ulna",
        (
            "Gestruikeld over een stoeprand en op de hand gevallen. Pols pijnlijk en dik.",
            "Drukpijn over de radius, geen wond. Vingers warm, gevoel intact. Foto: breuk zonder verplaatsing.",
            "Breuk van de distale radius, niet verplaatst.",
            "Gips voor vier weken, pijnstilling, over een week controle op de polikliniek.",
        ),
    ),
    timedelta(minutes=90),
    (Measured(_PULSE, Decimal("92")), Measured(_SATURATION, Decimal("97"))),
    PARACETAMOL,
    timedelta(days=5),
    "Arm hoog houden; terug bij tintelingen, witte vingers of pijn die erger wordt.",
)
"""What an emergency department sees."""

LOW_SUGAR: Final = Case(
    Complaint(
        "T87",
        "Hypoglykemie",
        (
            "Door partner verward op de bank gevonden, had de maaltijd overgeslagen.",
            "Klam, trage antwoorden. Na glucose helder en goed aanspreekbaar.",
            "Hypoglykemie, hersteld na glucose.",
            "Thuis gelaten bij partner; eigen huisarts verzoeken de medicatie na te zien.",
        ),
    ),
    timedelta(minutes=40),
    (
        Measured(_GLUCOSE, Decimal("2.6")),
        Measured(_PULSE, Decimal("104")),
        Measured(_SATURATION, Decimal("98")),
    ),
    advice="Eten, over een uur opnieuw meten, vannacht niet alleen blijven.",
)
"""What an ambulance crew sees and leaves at home."""

CHEST_PAIN: Final = Case(
    Complaint(
        "K74",
        "Angina pectoris",
        (
            "Sinds drie weken druk op de borst bij traplopen, over na enkele minuten rust.",
            "Harttonen zuiver, geen souffle. Longen schoon, geen oedeem.",
            "Verdenking stabiele angina pectoris.",
            "Graag beoordeling en inspanningsonderzoek.",
        ),
    ),
    timedelta(minutes=20),
    (Measured(_PULSE, Decimal("76")),),
    advice="Bij pijn in rust of langer dan een kwartier meteen 112 bellen.",
)
"""What a GP refers to the hospital."""
