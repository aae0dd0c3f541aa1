"""What others publish, one file each: a pure `parse` that never raises, and a thin `fetch` where there is something to fetch."""
