import numpy as np

from biopsy_ai.training.targets import UNIT_WEIGHT, make_nucleus_targets, make_targets


def two_squares(gap: int) -> np.ndarray:
    labels = np.zeros((60, 90), dtype=np.int32)
    labels[10:50, 5:40] = 1
    labels[10:50, 40 + gap : 80] = 2
    return labels


def test_distance_peaks_at_one_in_every_fiber_whatever_its_size():
    labels = two_squares(4)
    labels[52:58, 5:11] = 3
    distance = make_targets(labels, 0.5)[..., 2]
    assert [distance[labels == k].max() for k in (1, 2, 3)] == [255, 255, 255]
    assert distance[labels == 0].max() == 0


def test_border_lies_between_near_fibers_only():
    near, far = (make_targets(two_squares(gap), 0.5)[..., 1] for gap in (2, 14))
    assert near[30, 39:43].all()
    assert not near[:, :30].any()
    assert not far.any()


def test_touching_fibers_are_parted_in_the_distance():
    distance = make_targets(two_squares(0), 0.5)[..., 2]
    assert distance[30, 39] < 40
    assert distance[30, 40] < 40
    assert distance[30, 20] > 200


def test_empty_labels():
    targets = make_targets(np.zeros((8, 9), dtype=np.int32), 0.5)
    assert targets.shape == (8, 9, 4)
    assert not targets[..., :3].any()
    assert (targets[..., 3] == UNIT_WEIGHT).all()


def test_tips_and_holes_weigh_more():
    labels = np.zeros((60, 120), dtype=np.int32)
    labels[10:50, 10:70] = 1
    labels[29:32, 70:90] = 1
    holes = np.zeros(labels.shape, dtype=bool)
    holes[25:30, 30:35] = True
    weight = make_targets(labels, 0.5, holes=holes)[..., 3] / UNIT_WEIGHT
    assert weight[40, 40] == 1
    assert weight[30, 80] == 5
    assert weight[10, 10] == 5
    assert weight[27, 32] == 4
    assert weight[55, 110] == 1


def test_every_nucleus_peaks_and_what_touches_is_parted():
    labels = np.zeros((30, 40), dtype=np.int32)
    labels[5:15, 5:15] = 1
    labels[5:15, 15:25] = 2
    labels[20:23, 30:33] = 3
    distance, weight = np.moveaxis(make_nucleus_targets(labels, 0.5), -1, 0)
    assert ((distance > 0) == (labels > 0)).all()
    assert [distance[labels == k].max() for k in (1, 2, 3)] == [255, 255, 255]
    assert distance[10, 14:16].max() < 100
    assert weight[10, 14] == 6 * UNIT_WEIGHT
    assert weight[2, 2] == weight[21, 31] == UNIT_WEIGHT


def test_nuclei_that_are_not_known_have_no_weight():
    labels = np.zeros((10, 10), dtype=np.int32)
    labels[2:5, 2:5] = 1
    known = np.arange(100).reshape(10, 10) >= 50
    weight = make_nucleus_targets(labels, 0.5, known=known)[..., 1]
    assert ((weight > 0) == known).all()


def test_small_fibers_weigh_more_and_tiny_ones_most():
    labels = np.zeros((200, 200), dtype=np.int32)
    labels[10:70, 10:70] = 1  # 900 µm²
    labels[90:120, 90:120] = 2  # 225 µm²
    labels[150:170, 150:170] = 3  # 100 µm²
    weight = make_targets(labels, 0.5)[..., 3]
    middle = [int(weight[at, at]) for at in (40, 105, 160)]
    assert middle == [UNIT_WEIGHT, 3 * UNIT_WEIGHT, 6 * UNIT_WEIGHT]


def test_weights_end_where_a_byte_does():
    labels = two_squares(1)
    labels[:] = np.where(np.arange(90) % 6 < 5, 1 + np.arange(90) // 6, 0)  # thin and near
    holes = labels > 0
    weight = make_targets(labels, 0.5, holes=holes)[..., 3]
    assert weight.max() == 255
    assert weight[holes].min() >= 4 * UNIT_WEIGHT
