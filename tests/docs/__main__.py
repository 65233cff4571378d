"""Says how many snippets there are of each kind, and which pages are not looked at, and why."""

from __future__ import annotations

from collections import Counter

from .pages import EXCLUDED, ROOT, Kind, pages, snippets


def main() -> None:
    found = [one for page in pages() for one in snippets(page, (ROOT / page).read_text())]
    counts = Counter(one.kind for one in found)
    print(f"{len(found)} snippets on {len(pages())} pages:")
    for kind in Kind:
        print(f"{counts[kind]:5} {kind.value}")
    for page, why in EXCLUDED.items():
        print(f"not looked at: {page}: {why}")


if __name__ == "__main__":
    main()
