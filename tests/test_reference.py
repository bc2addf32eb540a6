"""The reference pages that are made from the database say what the database says."""

import psycopg
from tools.reference import ROOT, pages


def test_the_pages_are_of_this_database(database: str) -> None:
    with psycopg.connect(database) as connection:
        made = pages(connection)

    stale = [
        str(page)
        for page, text in made.items()
        if not (ROOT / page).exists() or (ROOT / page).read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run make docs"
    here = (ROOT / "docs" / "reference" / "functions").glob("*.md")
    assert {page.relative_to(ROOT) for page in here} == {
        page for page in made if page.parent.name == "functions"
    }, "run make docs"
