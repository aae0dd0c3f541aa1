"""The tests, a mirror of the tree. A package of its own name: one that is installed may bring another called `tests`."""
