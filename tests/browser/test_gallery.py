"""The gallery shows the pages there are, and weighs what a reader can load."""

from tests.browser import gallery


def test_every_page_has_its_sheet_and_nothing_else_is_kept():
    kept = {path.name for path in gallery.SHEETS.iterdir()}
    assert kept == {"index.md", *(f"{name}.jpg" for name in gallery.pages())}
    assert (gallery.SHEETS / "index.md").read_text() == gallery.index()


def test_the_gallery_weighs_less_than_four_megabytes():
    assert sum(path.stat().st_size for path in gallery.SHEETS.iterdir()) < gallery.BYTES_MAX
