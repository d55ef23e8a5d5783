"""The film of the README: which frames it keeps, for how long, and that it is a GIF that moves."""

from io import BytesIO

from PIL import Image

from tests.tools.pictures import LAST_MS, LONGEST_MS, SHORTEST_MS, STILLS, durations, faster, film


def png(colour):
    file = BytesIO()
    Image.new("RGB", (60, 40), colour).save(file, format="PNG")
    return file.getvalue()


def test_a_frame_stands_until_the_next_that_looks_different():
    times = [0.0, 0.3, 0.4, 5.0, 5.001]
    assert durations(times, [False, False, True, False, False]) == [
        (0, 300),
        (1, LONGEST_MS),
        (3, SHORTEST_MS),
        (4, LAST_MS),
    ]
    assert durations([], []) == []


def test_a_long_film_is_shown_faster_but_its_end_stays():
    assert faster([(0, 300), (1, 1000), (2, LAST_MS)]) == (1.0, [(0, 300), (1, 1000), (2, LAST_MS)])
    factor, kept = faster([(n, 1000) for n in range(60)] + [(60, LAST_MS)])
    assert factor == 2.0 and kept == [(n, 500) for n in range(60)] + [(60, LAST_MS)]


def test_the_film_merges_what_looks_the_same(tmp_path):
    frames = [(0.0, png("white")), (0.2, png("white")), (0.5, png("black")), (0.9, png("red"))]
    film(frames, 30, tmp_path / "film.gif")
    assert [p.name for p in tmp_path.iterdir()] == ["film.gif"]
    with Image.open(tmp_path / "film.gif") as found:
        assert found.size == (30, 20) and found.n_frames == 3 and found.info["loop"] == 0
        assert found.info["duration"] == 500


def test_names_of_stills_are_single():
    assert len({still.name for still in STILLS}) == len(STILLS)
