"""The whole market on one machine: a world, its buyers, a simulated grid and a clock that can be hurried."""
