"""The tissue classes of a pixel, by number and by name."""

TISSUE_CLASSES = (
    "background",
    "fiber",
    "endomysium",
    "perimysium",
    "fat",
    "vessel_or_nerve",
    "artefact",
)
"""Names of the values of a class map, from 0. Glass, tears and holes are background."""

BACKGROUND, FIBER, ENDOMYSIUM, PERIMYSIUM, FAT, VESSEL, ARTEFACT = range(len(TISSUE_CLASSES))
