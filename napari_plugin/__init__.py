"""biopsy-ai in napari: an adapter without science of its own."""
