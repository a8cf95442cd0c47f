from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from biopsy_ai.errors import OutlineReadError
from biopsy_ai.formats.coco import draw_coco, is_coco, read_coco
from biopsy_ai.formats.contours import fiber_polygons, to_image_xy
from biopsy_ai.labels import find_boxes


def written(path: Path, annotations: list[dict[str, Any]], shape=(240, 300)) -> Path:
    """Write a COCO file of two pictures, the first of them annotated."""
    images = [
        {"id": 7, "file_name": "images/a.tif", "height": shape[0], "width": shape[1]},
        {"id": 8, "file_name": "b.tif", "height": 10, "width": 20},
    ]
    numbered = [
        {"id": n, "image_id": 7, "category_id": 1, "iscrowd": 0} | one
        for n, one in enumerate(annotations, start=1)
    ]
    content = {
        "images": images,
        "annotations": numbered,
        "categories": [{"id": 1, "name": "fiber"}],
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def polygons(labels) -> dict[int, list[float]]:
    ids, boxes = find_boxes(labels)
    return {
        label: to_image_xy(ring, (1, 1), (1, 1)).ravel().tolist()
        for label, ring in fiber_polygons(labels, ids, boxes)
    }


def same_fibers(found, labels) -> bool:
    """Whether the same pixels are fibers, and the same of them belong together."""
    pairs = np.unique(np.stack([found.ravel(), labels.ravel()]), axis=1)
    return len(pairs[0]) == len(np.unique(pairs[0])) == len(np.unique(pairs[1]))


def test_polygons_survive_the_round_trip(tmp_path: Path, drawn_labels) -> None:
    path = written(
        tmp_path / "a.json", [{"segmentation": [ring]} for ring in polygons(drawn_labels).values()]
    )
    assert is_coco(path)
    first, second = read_coco(path)
    assert (first.file_name, first.shape) == ("images/a.tif", (240, 300))
    assert second.annotations == ()
    found = draw_coco(first, path)
    assert same_fibers(found.labels, drawn_labels)
    assert found.unknown is None
    assert found.n_overlapping == 0


@pytest.mark.parametrize("packed", [True, False])
def test_run_lengths_of_cocos_own_library_are_read(tmp_path: Path, drawn_labels, packed) -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="pip install pycocotools")
    annotations = []
    for label in np.unique(drawn_labels[drawn_labels > 0]):
        mask = np.asfortranarray(drawn_labels == label, dtype=np.uint8)
        if packed:
            run_lengths = coco.encode(mask)
            counts: Any = run_lengths["counts"].decode("ascii")
        else:
            flat = mask.ravel(order="F")
            edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [2]])))
            counts = np.diff(np.concatenate([[0], edges])).tolist()
        annotations.append({"segmentation": {"size": [240, 300], "counts": counts}})
    path = written(tmp_path / "a.json", annotations)
    assert same_fibers(draw_coco(read_coco(path)[0], path).labels, drawn_labels)


def test_a_file_that_cocos_own_library_reads(tmp_path: Path, drawn_labels) -> None:
    """The same file means the same masks to pycocotools, but for pixels on the outlines."""
    module = pytest.importorskip("pycocotools.coco", reason="pip install pycocotools")
    rings = polygons(drawn_labels)
    path = written(tmp_path / "a.json", [{"segmentation": [ring]} for ring in rings.values()])
    theirs = module.COCO(str(path))
    ours = draw_coco(read_coco(path)[0], path).labels
    for number in list(theirs.anns)[::20]:
        mask = theirs.annToMask(theirs.anns[number]) > 0
        edge = mask & ~ndimage.binary_erosion(mask)
        assert (mask ^ (ours == number)).sum() <= edge.sum()


def test_crowds_are_regions_where_nothing_is_known(tmp_path: Path) -> None:
    crowd = np.zeros((20, 30), bool)
    crowd[:, 10:] = True
    flat = crowd.ravel(order="F")
    counts = [int((~flat).sum()), int(flat.sum())]
    path = written(
        tmp_path / "a.json",
        [
            {"segmentation": [[5, 5, 15, 5, 15, 15, 5, 15]]},
            {"segmentation": {"size": [20, 30], "counts": counts}, "iscrowd": 1},
        ],
        shape=(20, 30),
    )
    found = draw_coco(read_coco(path)[0], path)
    assert np.unique(found.labels).tolist() == [0, 1]
    assert found.unknown is not None
    assert found.unknown.sum() == crowd.sum() - 50
    assert not (found.unknown & (found.labels > 0)).any()


def test_parts_are_joined_and_overlaps_counted(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.json",
        [
            {"segmentation": [[0, 0, 6, 0, 6, 6, 0, 6], [10, 0, 12, 0, 12, 6, 10, 6]]},
            {"segmentation": [[20, 0, 30, 0, 30, 10, 20, 10]]},
            {"segmentation": [[22, 2, 28, 2, 28, 8, 22, 8]]},
        ],
        shape=(20, 40),
    )
    found = draw_coco(read_coco(path)[0], path)
    assert (found.labels == 1).sum() == 36 + 12
    assert (found.labels == 3).sum() == 36
    assert found.n_overlapping == 1


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ({"size": [9, 9], "counts": [81]}, "the image has"),
        ({"size": [20, 30], "counts": [5, 5]}, "do not fill"),
        ({"size": [20, 30], "counts": "\x7f"}, "unknown code"),
        ({"size": [20, 30]}, "counts"),
        ([[1, 2, 3]], "cannot be understood"),
        ([[0, 0, float("nan"), 0, 5, 5]], "not finite"),
        (None, "cannot be understood"),
    ],
)
def test_broken_annotations_are_named(tmp_path: Path, segmentation: object, words: str) -> None:
    path = written(tmp_path / "a.json", [{"segmentation": segmentation}], shape=(20, 30))
    with pytest.raises(OutlineReadError, match=rf"a\.json: annotation 1.*{words}"):
        draw_coco(read_coco(path)[0], path)


@pytest.mark.parametrize(
    "content", ["[", "{}", '{"images": [{"id": 1}], "annotations": []}', '{"images": 3}']
)
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(OutlineReadError, match=r"a\.json"):
        read_coco(path)


def test_other_json_is_no_coco(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"type": "FeatureCollection", "features": []}')
    assert not is_coco(tmp_path / "a.json")
    assert not is_coco(tmp_path / "none.json")


def test_huge_images_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", [], shape=(90_000, 90_000))
    with pytest.raises(OutlineReadError, match="90000 × 90000 px"):
        read_coco(path)
